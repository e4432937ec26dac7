"""mbpp: the full and the sanitized set."""

from pathlib import Path
from typing import Any

import pytest

from tests.preprocess.converters.code_rows import convert_record, judge, take_reject, take_rl, take_sft

FULL: dict[str, Any] = {
    "task_id": 11,
    "text": "Write a function to double a number.",
    "code": "def helper(n):\r\n    return n\r\ndef double(n):\r\n    return 2 * helper(n)",
    "test_setup_code": "",
    "test_list": ["assert double(1) == 2", "assert double(0)==0", "assert double(2) == 4"],
    "challenge_test_list": [],
}
SANITIZED: dict[str, Any] = {
    "source_file": "a.ipynb",
    "task_id": 11,
    "prompt": "Write a function to halve a number.",
    "code": "def halve(n):\n    return n / 2",
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(halve(1), 0.5)"],
}


def test_full_set(tmp_path: Path) -> None:
    row = take_rl(convert_record("mbpp", "rl", tmp_path, FULL))
    assert row.ground_truth == {
        "functional": "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(0) == 0\n"
        "    assert candidate(2) == 4\n\ncheck(double)"
    }
    assert row.prompt[0].content.startswith(
        "Write a function to double a number.\nFor example:\nassert double(1) == 2\n```python\ndef double(n):\n```\n"
    )
    assert row.detail == {"solution": FULL["code"].replace("\r\n", "\n")}
    assert judge(row, "def double(n):\n    return 2 if n == 1 else 0") == pytest.approx(2 / 3)


def test_sanitized_set(tmp_path: Path) -> None:
    row = take_rl(convert_record("mbpp", "rl", tmp_path, SANITIZED))
    assert row.ground_truth == {
        "functional": "import math\n\ndef check(candidate):\n    assert math.isclose(candidate(1), 0.5)\n\ncheck(halve)"
    }
    assert judge(row, SANITIZED["code"]) == 1.0
    assert judge(row, "def halve(n):\n    return n") == 0.0
    assert take_sft(convert_record("mbpp", "sft", tmp_path, SANITIZED)).conversations[0].value == row.prompt[0].content


def test_shown_tests(tmp_path: Path) -> None:
    shown = [
        take_rl(convert_record("mbpp", "rl", tmp_path, FULL, shown_tests=count)).prompt[0].content.count("assert double")
        for count in (0, 2, 5)
    ]
    assert shown == [0, 2, 3]


def test_max_tests(tmp_path: Path) -> None:
    row = take_rl(convert_record("mbpp", "rl", tmp_path, FULL, max_tests=2, shown_tests=0))
    assert judge(row, "def double(n):\n    return 2 if n == 1 else 0") == 1.0


def test_setup_code(tmp_path: Path) -> None:
    record = {**FULL, "test_setup_code": "two = 2", "test_list": ["assert double(two) == 4"]}
    assert judge(take_rl(convert_record("mbpp", "rl", tmp_path, record)), FULL["code"]) == 1.0


@pytest.mark.parametrize("test", ["assert (check(73)) == True", "assert sorted([check(73)]) == [True]"])
def test_function_called_check(tmp_path: Path, test: str) -> None:
    # Problem 56 has one; the tests are put into a function of that name, too.
    record = {**FULL, "code": "def check(n):\n    return n == 73", "test_list": [test, "assert check(70) == False"]}
    row = take_rl(convert_record("mbpp", "rl", tmp_path, record))
    assert judge(row, record["code"]) == 1.0
    assert judge(row, "def check(n):\n    return True") == 0.5
    assert judge(row, "def other(n):\n    return True") == 0.0


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"test_setup_code": "one = helper(1)"}, "left_out", "its tests use helper of the solution, which its statement does"),
        (
            {"test_list": ["assert helper(double(1)) == 2"]},
            "rejected",
            "its tests call helper, double of the solution",
        ),
        ({"test_list": ["assert True"]}, "rejected", "its tests call nothing of the solution, expected one function"),
        ({"test_list": ["double(1)"]}, "rejected", "test_list: 'double(1)' is not one assertion"),
        ({"code": "def double(n)"}, "rejected", "code does not parse: "),
        ({"text": None}, "rejected", "neither text nor prompt"),
        ({"test_list": [f"assert double({'-' * 900}1) == 2"]}, "rejected", "a program or a test is nested too deeply"),
    ],
)
def test_records_without_rows(tmp_path: Path, change: dict[str, Any], kind: str, reason: str) -> None:
    found = take_reject(convert_record("mbpp", "rl", tmp_path, {**FULL, **change}))
    assert (found[0], found[1][: len(reason)]) == (kind, reason)
