"""apps: problems with standard input and with functions."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.preprocess.converters.code_rows import convert_record, judge, take_reject, take_rl, take_sft

CALLS = {"fn_name": "double", "inputs": [[1], [2]], "outputs": [[2], [4]]}
TEXTS = {"inputs": ["1\n", "2\n"], "outputs": ["2\n", "4\n"]}
SOLUTIONS = ["print 2 * int(raw_input())", "a = int(input())\nprint(a + a)", "print(2*int(input()))"]
RECORD: dict[str, Any] = {
    "problem_id": 7,
    "question": "Double a number.",
    "solutions": json.dumps(SOLUTIONS),
    "input_output": json.dumps(TEXTS),
    "difficulty": "interview",
    "url": "https://example.org/7",
    "starter_code": "",
}


def test_standard_input(tmp_path: Path) -> None:
    row = take_rl(convert_record("apps", "rl", tmp_path, RECORD))
    assert row.ground_truth == TEXTS
    assert "The program reads standard input" in row.prompt[0].content
    assert "```" not in row.prompt[0].content
    assert row.detail == {"difficulty": "interview", "url": "https://example.org/7", "solution": SOLUTIONS[1]}
    assert row.id == "rows:1"  # both splits number their problems from 0


def test_function(tmp_path: Path) -> None:
    record = {**RECORD, "input_output": json.dumps(CALLS), "starter_code": "def double(n):\n\t"}
    row = take_rl(convert_record("apps", "rl", tmp_path, record))
    assert row.ground_truth == CALLS
    assert "```python\ndef double(n):\n```" in row.prompt[0].content
    assert judge(row, "def double(n):\n    return 2 * n") == 1.0
    assert judge(row, "class Solution:\n    def double(self, n):\n        return 2 * n if n < 2 else 0") == 0.5


def test_function_without_starter_code(tmp_path: Path) -> None:
    row = take_rl(convert_record("apps", "rl", tmp_path, {**RECORD, "input_output": json.dumps(CALLS)}))
    assert "```python\ndef double(...):\n```" in row.prompt[0].content


def test_starter_code_is_hidden_for_standard_input(tmp_path: Path) -> None:
    row = take_rl(convert_record("apps", "rl", tmp_path, {**RECORD, "starter_code": "def double(n):"}))
    assert "def double" not in row.prompt[0].content


def test_max_tests(tmp_path: Path) -> None:
    row = take_rl(convert_record("apps", "rl", tmp_path, RECORD, max_tests=1))
    assert row.ground_truth == {"inputs": ["1\n"], "outputs": ["2\n"]}


def test_first_python_3_solution_is_taught(tmp_path: Path) -> None:
    answer = take_sft(convert_record("apps", "sft", tmp_path, RECORD)).conversations[1].value
    assert f"```python\n{SOLUTIONS[1]}\n```" in answer


@pytest.mark.parametrize("tests", ["", '{"inputs": [], "outputs": []}'])
def test_without_tests_only_sft(tmp_path: Path, tests: str) -> None:
    record = {**RECORD, "input_output": tests}
    assert take_sft(convert_record("apps", "sft", tmp_path, record))
    assert take_reject(convert_record("apps", "rl", tmp_path, record)) == ("left_out", "it has no tests")


def test_without_solution_only_rl(tmp_path: Path) -> None:
    no_solution = {**RECORD, "solutions": ""}
    assert "solution" not in take_rl(convert_record("apps", "rl", tmp_path, no_solution)).detail
    assert take_reject(convert_record("apps", "sft", tmp_path, no_solution)) == ("left_out", "it has no solution")


def test_only_solutions_in_python_2(tmp_path: Path) -> None:
    record = {**RECORD, "solutions": json.dumps(SOLUTIONS[:1])}
    assert take_reject(convert_record("apps", "sft", tmp_path, record)) == ("rejected", "none of its 1 solution is Python 3")
    detail = take_rl(convert_record("apps", "rl", tmp_path, record)).detail
    assert "solution" not in detail
    assert detail["no_solution"] == "none of its 1 solution is Python 3"


def test_without_difficulty(tmp_path: Path) -> None:
    assert take_rl(convert_record("apps", "rl", tmp_path, {**RECORD, "difficulty": ""}, difficulty=["interview"]))


def test_difficulty(tmp_path: Path) -> None:
    assert take_rl(convert_record("apps", "rl", tmp_path, RECORD, difficulty=["interview", "competition"]))
    left_out = take_reject(convert_record("apps", "rl", tmp_path, RECORD, difficulty=["introductory"]))
    assert left_out == ("left_out", "its difficulty is interview")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input_output": "{"}, "input_output: not JSON: "),
        ({"input_output": json.dumps({"inputs": ["1\n"], "outputs": []})}, "input_output: 1 input and 0 outputs"),
        ({"input_output": json.dumps({"outputs": []})}, "no 'inputs'"),
        ({"input_output": '{"inputs": [' + "9" * 5000 + '], "outputs": [1]}'}, "input_output: "),
        ({"input_output": '{"inputs": ' + "[" * 100_000}, "input_output: "),
        ({"solutions": "[1]"}, "solutions: [0] is a number, expected text"),
        ({"question": " "}, "the problem has no statement"),
        (
            {"input_output": json.dumps({**CALLS, "fn_name": "a b"})},
            "input_output: fn_name is 'a b', expected the name of a function",
        ),
        ({"input_output": json.dumps({**CALLS, "fn_name": "class"})}, "input_output: fn_name is 'class'"),
        (
            {"input_output": json.dumps({**TEXTS, "outputs": ["2", None]})},
            "outputs[1] is null, expected text or a list of lines",
        ),
        ({"input_output": json.dumps({**TEXTS, "inputs": ["2", ["1", {}]]})}, "inputs[1] is a list with an object"),
        ({"input_output": json.dumps({**TEXTS, "inputs": ["2", "\ud800"]})}, "half of a surrogate pair"),
        (
            {"input_output": json.dumps({**CALLS, "inputs": ['"\\ud800"', "1"], "outputs": ["1", "1"]})},
            "half of a surrogate pair",
        ),
        ({"difficulty": "Hard"}, "difficulty is 'Hard'; expected competition, interview or introductory"),
    ],
)
def test_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("apps", "rl", tmp_path, {**RECORD, **change}))
    assert kind == "rejected"
    assert reason in found
