"""kodcode: test modules, texts, and packages that the sandbox lacks."""

from pathlib import Path
from typing import Any

import pytest

from preprocess.converters.kodcode import _NOT_IN_TESTS
from rewards.programs.inside.isolated_tests.pytest_shim.support import MISSING_MODULES
from tests.preprocess.converters.code_rows import SHAPES, convert_record, judge, take_reject, take_rl

TEST = "from solution import double\n\ndef test_one():\n    assert double(1) == 2\n\ndef test_two():\n    assert double(2) == 4"
RECORD: dict[str, Any] = {
    "style": "instruct",
    "subset": "Prefill",
    "question_id": "Prefill_1",
    "question": "Write a function that doubles a number.",
    "solution": "def _twice(n):\n    return 2 * n\n\ndef double(n: int, *, by: int = 2) -> int:\n    return by * n",
    "test": TEST,
    "test_info": [{"function_name": "double"}],
    "gpt_difficulty": "easy",
    "gpt_pass_percentage": 0.5,
}


def test_row(tmp_path: Path) -> None:
    row = take_rl(convert_record("kodcode", "rl", tmp_path, RECORD))
    assert row.ground_truth == {"pytest": TEST}
    assert "```python\ndef double(n: int, *, by: int=2) -> int:\n```" in row.prompt[0].content
    assert row.id == "Prefill_1"
    assert row.detail == {
        "difficulty": "easy",
        "gpt_pass_percentage": 0.5,
        "style": "instruct",
        "subset": "Prefill",
        "solution": RECORD["solution"],
    }


def test_question_that_shows_the_function(tmp_path: Path) -> None:
    record = {**RECORD, "style": "complete", "question": "def double(n):\n    '''Doubles.'''"}
    prompt = take_rl(convert_record("kodcode", "rl", tmp_path, record)).prompt[0].content
    assert "```" not in prompt
    assert "standard input" not in prompt


def test_max_tests(tmp_path: Path) -> None:
    row = take_rl(convert_record("kodcode", "rl", tmp_path, RECORD, max_tests=1))
    assert judge(row, "def double(n):\n    return 2") == 1.0
    row = take_rl(convert_record("kodcode", "rl", tmp_path, RECORD))
    assert judge(row, "def double(n):\n    return 2") == 0.5


def test_texts(tmp_path: Path) -> None:
    record = {**RECORD, "solution": "print(2 * int(input()))", "test": '{"stdin": ["1", "2"], "stdout": ["2", "4"]}'}
    row = take_rl(convert_record("kodcode", "rl", tmp_path, record))
    assert row.ground_truth == {"inputs": ["1", "2"], "outputs": ["2", "4"]}
    assert "reads standard input" in row.prompt[0].content
    assert judge(row, record["solution"]) == 1.0


def test_styles_and_subsets(tmp_path: Path) -> None:
    options: dict[str, Any] = {"styles": ["instruct"], "subsets": ["Prefill", "Taco"]}
    assert take_rl(convert_record("kodcode", "rl", tmp_path, RECORD, **options))
    for change, reason in (({"style": "complete"}, "its style is complete"), ({"subset": "Docs"}, "its subset is Docs")):
        found = take_reject(convert_record("kodcode", "rl", tmp_path, {**RECORD, **change}, **options))
        assert found == ("left_out", reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"solution": f"import numpy.linalg, pandas as pd\n{RECORD['solution']}"}, "it needs numpy, pandas"),
        ({"solution": "def double(n):\n    from torch import nn\n    return 2 * n"}, "it needs torch"),
        ({"test": f"import numpy as np\n{TEST}"}, "it needs numpy"),
        ({"test": f"from unittest import mock\n{TEST}"}, "its tests need unittest"),
        ({"test": '{"stdin": [], "stdout": []}'}, "it has no tests"),
        (
            {
                "solution": f"LIMIT = 3\n\n{RECORD['solution']}",
                "test": "def test_one():\n    assert double(1) < LIMIT",
            },
            "its tests use LIMIT of the solution, which its question does not name",
        ),
    ],
)
def test_left_out(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    for shape in SHAPES:
        assert take_reject(convert_record("kodcode", shape, tmp_path, {**RECORD, **change})) == ("left_out", reason)


def test_modules_that_tests_cannot_import() -> None:
    assert _NOT_IN_TESTS == MISSING_MODULES


def test_packages(tmp_path: Path) -> None:
    record = {**RECORD, "solution": f"import numpy as np\nfrom sortedcontainers import SortedList\n{RECORD['solution']}"}
    assert take_rl(convert_record("kodcode", "rl", tmp_path, record, packages=["numpy"]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"solution": "def double(n)"}, "solution does not parse: "),
        ({"test": "def test_one("}, "test does not parse: "),
        ({"test": TEST.replace("double", "triple")}, "its tests import triple from solution, which does not define it"),
        (
            {"test": "def test_one():\n    assert True"},
            "its tests import nothing from solution and use nothing that it defines",
        ),
        (
            {"test": "def double(n):\n    return 2 * n\n\ndef test_one():\n    assert double(1) == 2"},
            "its tests import nothing from solution and use nothing that it defines",
        ),
        ({"test": "def test_one():\n    assert _twice(1) == 2"}, "its tests import nothing from solution and use nothing"),
        ({"test": '{"stdin": [1], "stdout": ["1"]}'}, "test: stdin[0] is a number, expected text"),
        ({"test": "from solution import double\n"}, "the tests define no function whose name begins with test"),
    ],
)
def test_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("kodcode", "rl", tmp_path, {**RECORD, **change}))
    assert (kind, found[: len(reason)]) == ("rejected", reason)


@pytest.mark.parametrize(
    ("test", "added"),
    [
        (TEST.partition("\n\n")[2], "from solution import double"),
        (
            "import pytest\n\ndef test_one():\n    with pytest.raises(TypeError):\n        double()",
            "from solution import double",
        ),
        ("class TestDouble:\n    def test_one(self):\n        assert double(1) == 2", "from solution import double"),
        (
            "import random\n\ndef test_one():\n    numbers: List[int] = [random.randrange(9)]\n    assert double(1) == 2\n\n"
            "if __name__ == '__main__':\n    test_one()",
            "from typing import List\nfrom solution import double",
        ),
    ],
)
def test_tests_whose_runner_imports_the_solution(tmp_path: Path, test: str, added: str) -> None:
    record = {**RECORD, "solution": f"from typing import List\n\n{RECORD['solution']}", "test": test}
    row = take_rl(convert_record("kodcode", "rl", tmp_path, record))
    assert isinstance(row.ground_truth, dict)
    assert row.ground_truth["pytest"].startswith(added)
    assert "def double(n: int" in row.prompt[0].content
    assert judge(row, "def double(n):\n    return 2 * n") == 1.0
    assert judge(row, "def double(n=0):\n    return 2 * n + 1") == 0.0


def test_imports_that_must_come_first(tmp_path: Path) -> None:
    test = f'"""Tests."""\nfrom __future__ import annotations\n{TEST.partition(chr(10))[2]}'
    row = take_rl(convert_record("kodcode", "rl", tmp_path, {**RECORD, "test": test}))
    assert judge(row, RECORD["solution"]) == 1.0
