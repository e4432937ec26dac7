"""leetcode: three layouts give the same row."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.rows import RlRow
from tests import ROOT
from tests.preprocess.converters.code_rows import convert_record, judge, take_reject, take_rl, take_sft

REAL = ROOT.parent / "shared" / "data"
STARTER = "class Solution:\n    def add(self, a: List[int]) -> int:\n"
QUERY = f"Add.\n \nPlease complete the following python code precisely:\n```python\n{STARTER}```"
SHARED: dict[str, Any] = {
    "task_id": "two-sum",
    "prompt": "from typing import *\n",
    "completion": "class Solution:\n    def add(self, a: List[int]) -> int:\n        return sum(a)\n",
    "entry_point": "Solution().add",
    "test": "def check(candidate):\n    assert candidate(a = [1,2]) == 3\n    assert candidate(a = []) == 0\n",
}
V01 = {**SHARED, "examples": [], "meta": {"difficulty": "Easy", "query": QUERY, "question_id": 1}}
V02 = {**SHARED, "input_output": [], "query": QUERY, "meta": {"difficulty": "Easy", "question_id": "1"}}
V03 = {
    **SHARED,
    "question_id": 1,
    "difficulty": "Easy",
    "tags": [],
    "problem_description": "Add.\n\n",
    "starter_code": f"{STARTER}        ",
    "query": "You are an expert Python programmer. …",
}
V030 = {
    **SHARED,
    "difficulty": "Easy",
    "query": "You are an expert Python programmer. You will be given a question.\n\n### Question:\nAdd.\n \n\n"
    "### Format: You will use the following starter code to write the solution and enclose your code within delimiters.\n"
    f"```python\n{STARTER}        \n```\n\n### Answer: (use the provided format with backticks)\n\n",
}


@pytest.mark.parametrize("record", [V01, V02, V030, V03], ids=["v0.1", "v0.2", "v0.3.0", "v0.3.1"])
def test_layouts_give_the_same_row(tmp_path: Path, record: dict[str, Any]) -> None:
    row = take_rl(convert_record("leetcode", "rl", tmp_path, record))
    assert row.ground_truth == {
        "fn_name": "Solution().add",
        "inputs": [{"a": [1, 2]}, {"a": []}],
        "outputs": [3, 0],
        "prelude": "from typing import *\n",
    }
    assert row.detail == {"difficulty": "Easy", "solution": SHARED["completion"]}
    assert row.id == "leetcode/two-sum"
    assert row == take_rl(convert_record("leetcode", "rl", tmp_path, V02))


def test_other_assertions_are_kept(tmp_path: Path) -> None:
    test = "def check(candidate):\n    assert same(candidate(a=node([1])), node([2]))\n    assert candidate(a=1) == 1\n"
    row = take_rl(convert_record("leetcode", "rl", tmp_path, {**V02, "test": test}, max_tests=1))
    assert row.ground_truth == {
        "functional": "def check(candidate):\n    assert same(candidate(a=node([1])), node([2]))\n\ncheck(Solution().add)",
        "prelude": "from typing import *\n",
    }


@pytest.mark.parametrize(
    ("expected", "right", "wrong"),
    [
        ("1", ["1", "True", "1.0"], ["[1]", "'1'", "[[1]]", "None"]),
        ("[1]", ["[1]"], ["1", "[[1]]", "'1'", "[]", "[1, 1]"]),
        ("[[1]]", ["[[1]]"], ["[1]", "1", "[[[1]]]"]),
        ("[]", ["[]"], ["[[]]", "None", "0"]),
        ("[1, 2]", ["[1, 2]"], ["[[1, 2]]", "[2, 1]"]),
        ("'a'", ["'a'"], ["['a']"]),
        ("None", ["None"], ["[None]", "[]"]),
        ("['a']", ["['a']"], ["'a'"]),
        ("{'1': 2}", ["{'1': 2}"], ["{1: 2}", "[{'1': 2}]"]),
        ("0.5", ["0.5", "0.5000001"], ["[0.5]"]),
    ],
)
def test_only_the_expected_value_passes(tmp_path: Path, expected: str, right: list[str], wrong: list[str]) -> None:
    test = f"def check(candidate):\n    assert candidate(a = [1]) == {expected}\n"
    row = take_rl(convert_record("leetcode", "rl", tmp_path, {**V02, "test": test}))
    solution = "class Solution:\n    def add(self, a):\n        return {}\n"
    assert {value: judge(row, solution.format(value)) for value in (*right, *wrong)} == {
        **dict.fromkeys(right, 1.0),
        **dict.fromkeys(wrong, 0.0),
    }


@pytest.mark.parametrize("argument", ["{'50': 1}", "(1, 2)", "{50: 1}", "{1, 2}"])
def test_arguments_are_passed_as_they_are_written(tmp_path: Path, argument: str) -> None:
    test = f"def check(candidate):\n    assert candidate({argument}) == 'yes'\n"
    row = take_rl(convert_record("leetcode", "rl", tmp_path, {**V02, "test": test}))
    same = f"type(a) is type({argument}) and a == {argument}"
    assert judge(row, f"class Solution:\n    def add(self, a):\n        return 'yes' if {same} else a\n") == 1.0


def test_solution_is_taught(tmp_path: Path) -> None:
    prompt, answer = take_sft(convert_record("leetcode", "sft", tmp_path, V02)).conversations
    assert prompt.value.startswith("Add.\n```python\nclass Solution:\n    def add")
    assert f"<answer>\n```python\n{SHARED['completion']}```\n</answer>" in answer.value


def test_misspelled_difficulty(tmp_path: Path) -> None:
    record = {**V02, "meta": {"difficulty": "Meidum"}}
    assert take_rl(convert_record("leetcode", "rl", tmp_path, record, difficulty=["Medium"])).detail["difficulty"] == "Medium"
    kind, reason = take_reject(convert_record("leetcode", "rl", tmp_path, record, difficulty=["Easy", "Hard"]))
    assert (kind, reason) == ("left_out", "its difficulty is Medium")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"test": "def check("}, "test does not parse: "),
        ({"test": "def test(candidate):\n    pass"}, "test has no function `check(candidate)`"),
        ({"test": "def check(candidate):\n    pass"}, "the tests assert nothing"),
        ({"query": "Add."}, "query does not end with the code to complete"),
        ({"query": "### Question:\nAdd.\n\n### Format: as you like\n\n### Answer:\n"}, "query does not end with the code"),
        ({"query": None, "meta": None}, "neither query, nor meta.query, nor problem_description and starter_code"),
    ],
)
def test_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("leetcode", "rl", tmp_path, {**V02, **change}))
    assert (kind, found[: len(reason)]) == ("rejected", reason)


@pytest.mark.parametrize("split", ["train", "test"])
def test_published_problems_become_rows(split: str) -> None:
    path = REAL / f"LeetCodeDataset-v0.2.0-{split}.jsonl.gz"
    if not path.exists():
        pytest.skip("LeetCodeDataset is missing")
    with gzip.open(path) as file:
        records = sum(1 for _ in file)
    result = convert([Source("leetcode", path)], "rl")
    assert (len(result.rows), result.rejects) == (records, [])


def test_published_solutions_pass() -> None:
    path = REAL / "LeetCodeDataset-v0.2.0-test.jsonl.gz"
    if not path.exists():
        pytest.skip("LeetCodeDataset is missing")
    rows = convert([Source("leetcode", path, limit=30)], "rl").rows
    assert {row.id: judge(row, row.detail["solution"]) for row in rows if isinstance(row, RlRow)} == {
        row.id: 1.0 for row in rows if isinstance(row, RlRow)
    }


def test_problems_with_one_statement_share_a_problem(tmp_path: Path) -> None:
    other = {**V02, "task_id": "two-sum-ii", "test": "def check(candidate):\n    assert candidate(a = [9]) == 9\n"}
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(V02)}\n{json.dumps(other)}\n")
    rows = convert([Source("leetcode", path)], "rl").rows
    assert len(rows) == 2
    assert len({row.problem for row in rows}) == 1


def test_solution_that_needs_a_package(tmp_path: Path) -> None:
    record = {**V02, "completion": f"import numpy\n{V02['completion']}"}
    assert take_reject(convert_record("leetcode", "sft", tmp_path, record)) == ("left_out", "its solution needs numpy")
    detail = take_rl(convert_record("leetcode", "rl", tmp_path, record)).detail
    assert "solution" not in detail and detail["no_solution"] == "its solution needs numpy"
    assert "solution" in take_rl(convert_record("leetcode", "rl", tmp_path, record, packages=["numpy"])).detail


def test_answers_in_any_order_without_a_word_about_it(tmp_path: Path) -> None:
    truth = take_rl(convert_record("leetcode", "rl", tmp_path, {**V02, "task_id": "word-ladder-ii"})).ground_truth
    assert isinstance(truth, dict) and truth["any_order"] is True
