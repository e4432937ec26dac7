"""Golden rows of the converters of published data sets, from records of the same form."""

import json
from pathlib import Path
from typing import Any

import pytest

from preprocess.convert import Converted, Source, convert, take_first
from preprocess.converters import CONVERTERS
from preprocess.rows import RlRow, SftRow

CRUXEVAL = {"code": "def f(a):\n    b = a * 2\n    return b", "input": "'x'", "output": "'xx'", "id": "sample_0"}
LEETCODE: dict[str, Any] = {
    "task_id": "two-sum",
    "prompt": "from typing import *\n",
    "completion": "class Solution:\n    def add(self, a: List[int]) -> int:\n        return sum(a)\n",
    "entry_point": "Solution().add",
    "test": "def check(candidate):\n    assert candidate(a = [1,2]) == 3\n    assert candidate(a = []) == 0\n",
    "query": "Add.\n \nPlease complete the following python code precisely:\n```python\nclass Solution:\n"
    "    def add(self, a: List[int]) -> int:\n```",
    "meta": {"difficulty": "Easy"},
}
EURUS: dict[str, Any] = {
    "data_source": "taco",
    "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}],
    "ability": "code",
    "reward_model": {"style": "rule", "ground_truth": json.dumps({"inputs": ["1\n"] * 12, "outputs": ["2\n"] * 12})},
    "extra_info": {"split": "train", "index": 3},
}
EXECVERIFY: dict[str, Any] = {
    "type": "io_mixed",
    "func_str": "def f(a):\n    return a",
    "func_name": "f",
    "func_args": "1",
    "result": "1",
    "prompt_str": "Q",
    "question_answers": {"path_answers": [["-1"]], "state_as": []},
    "questions": ["?"],
    "trace_events": [],
}


def _convert(tmp_path: Path, converter: str, shape: str, record: object, **options: object) -> Converted:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(record) + "\n")
    return convert([Source(converter, path, options=options)], shape)


def _rl(result: Converted) -> RlRow:
    (row,) = result.rows
    assert isinstance(row, RlRow)
    return row


def _sft(result: Converted) -> SftRow:
    (row,) = result.rows
    assert isinstance(row, SftRow)
    return row


def test_cruxeval_output(tmp_path: Path) -> None:
    row = _rl(_convert(tmp_path, "cruxeval", "rl", CRUXEVAL, questions=0))
    assert row.ground_truth == {
        "type": "io_mixed",
        "func_str": CRUXEVAL["code"],
        "func_name": "f",
        "func_args": "'x'",
        "result": "'xx'",
        "question_answers": {"path_answers": [], "state_as": []},
    }
    assert row.id == row.problem == "cruxeval/sample_0"


def test_cruxeval_input(tmp_path: Path) -> None:
    row = _rl(_convert(tmp_path, "cruxeval", "rl", CRUXEVAL, task="input"))
    assert (row.ground_truth["type"], row.ground_truth["question_answers"]) == ("oi", {})
    assert "assert f(??) == 'xx'" in row.prompt[0].content
    answer = _sft(_convert(tmp_path, "cruxeval", "sft", CRUXEVAL, task="input")).conversations[1].value
    assert answer.endswith("<answer>\nassert f('x') == 'xx'\n</answer>")


def test_leetcode_literal_assertions_become_calls(tmp_path: Path) -> None:
    row = _rl(_convert(tmp_path, "leetcode", "rl", LEETCODE))
    assert row.ground_truth == {
        "fn_name": "Solution().add",
        "inputs": [{"a": [1, 2]}, {"a": []}],
        "outputs": [[3], [0]],
        "prelude": "from typing import *\n",
    }
    assert row.detail == {"difficulty": "Easy", "solution": LEETCODE["completion"]}


def test_leetcode_other_assertions_stay(tmp_path: Path) -> None:
    test = "def check(candidate):\n    assert same(candidate(a=node([1])), node([2]))\n    assert candidate(a=1) == 1\n"
    row = _rl(_convert(tmp_path, "leetcode", "rl", {**LEETCODE, "test": test}, max_tests=1))
    assert row.ground_truth == {
        "functional": "def check(candidate):\n    assert same(candidate(a=node([1])), node([2]))\n\ncheck(Solution().add)",
        "prelude": "from typing import *\n",
    }


def test_leetcode_solution(tmp_path: Path) -> None:
    prompt, answer = _sft(_convert(tmp_path, "leetcode", "sft", LEETCODE)).conversations
    assert prompt.value.startswith("Add.\n```python\nclass Solution:\n    def add")
    assert f"<answer>\n```python\n{LEETCODE['completion']}```\n</answer>" in answer.value


def test_eurus(tmp_path: Path) -> None:
    row = _rl(_convert(tmp_path, "eurus", "rl", EURUS))
    assert row.ground_truth == {"inputs": ["1\n"] * 10, "outputs": ["2\n"] * 10}
    assert (row.data_source, row.id) == ("eurus/taco", "taco/train/3")
    assert [(message.role, message.content) for message in row.prompt] == [("system", "S"), ("user", "Q")]


def test_eurus_leaves_mathematics_out(tmp_path: Path) -> None:
    result = _convert(tmp_path, "eurus", "rl", {**EURUS, "ability": "math"})
    assert [(reject.left_out, reject.reason) for reject in result.rejects] == [(True, "ability is 'math', not code")]


def test_execverify_rl(tmp_path: Path) -> None:
    row = _rl(_convert(tmp_path, "execverify_rl", "rl", EXECVERIFY))
    assert set(row.ground_truth) == {"type", "func_str", "func_name", "func_args", "result", "question_answers"}
    assert row.prompt[0].content == "Q"


def test_execverify_sft(tmp_path: Path) -> None:
    record = {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}
    row = _sft(_convert(tmp_path, "execverify_sft", "sft", record))
    assert [(turn.speaker, turn.value) for turn in row.conversations] == [("human", "Q"), ("gpt", "A")]


@pytest.mark.parametrize(
    ("converter", "shape", "record", "reason"),
    [
        ("execverify_sft", "sft", {"conversations": [{"from": "human", "value": "Q"}]}, "1 turns"),
        ("execverify_sft", "sft", {"conversations": []}, "empty"),
        ("execverify_sft", "sft", {"conversations": [{"from": "robot", "value": "Q"}] * 2}, "turn 1 is from 'robot'"),
        ("execverify_sft", "sft", {"conversations": [{"value": "Q"}]}, "KeyError"),
        ("execverify_rl", "rl", {**EXECVERIFY, "type": "io"}, "expected io_mixed or oi"),
        ("execverify_rl", "rl", {**EXECVERIFY, "func_str": "\ud800"}, "not UTF-8"),
        ("eurus", "rl", {**EURUS, "reward_model": {"ground_truth": "{"}}, "not a row of Eurus"),
        ("leetcode", "rl", {**LEETCODE, "test": "def check("}, "does not parse"),
        ("leetcode", "sft", {**LEETCODE, "query": "Add."}, "does not end with the code"),
        ("cruxeval", "rl", {**CRUXEVAL, "output": "<object>"}, "not a literal"),
        ("cruxeval", "rl", {**CRUXEVAL, "code": 3}, "code is int, expected text"),
    ],
)
def test_a_broken_record_is_rejected_with_its_reason(
    tmp_path: Path, converter: str, shape: str, record: object, reason: str
) -> None:
    result = _convert(tmp_path, converter, shape, record)
    assert not result.rows
    assert [reject.line for reject in result.rejects] == [1]
    assert reason in result.rejects[0].reason


def test_rows_made_at_once_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    slow = "def f(n):\n    while n > 0:\n        n -= 1\n    return n"
    records = [{**CRUXEVAL, "code": slow, "input": str(90 - n), "output": "0", "id": str(n)} for n in range(90)]
    records[7]["output"] = "1"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    result = convert([Source("cruxeval", path, options={"questions": 1})], "rl")
    assert [row.problem for row in result.rows] == [f"cruxeval/{n}" for n in range(90) if n != 7]
    assert [(reject.line, reject.reason) for reject in result.rejects] == [(8, "it returns 0, the row says 1")]


def test_the_first_rows_of_a_source_are_made_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{not json\n" + (json.dumps(CRUXEVAL) + "\n") * 50)
    result = take_first(Source("cruxeval", path), "rl", 3)
    assert (result.records, len(result.rows), len(result.rejects)) == (4, 3, 1)


def test_every_converter_says_what_it_is() -> None:
    for name, converter in CONVERTERS.items():
        assert converter.name == name
        assert converter.shapes
        assert converter.help
