"""eurus: code rows, with the published prompts or in the wording of this project."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocess.converters import CONVERTERS
from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.rows import RlRow
from tests.preprocess.converters.code_rows import convert_example, convert_record, judge, take_reject, take_rl

QUESTION = "Double it.\n\nWrite Python code to solve the problem. Present the code in \n```python\nYour code\n```\nat the end."
TEXTS = {"inputs": ["1\n"] * 12, "outputs": ["2\n"] * 12}
RECORD: dict[str, Any] = {
    "data_source": "taco",
    "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": QUESTION}],
    "ability": "code",
    "reward_model": {"style": "rule", "ground_truth": json.dumps(TEXTS)},
    "extra_info": {"split": "train", "index": 3},
}


def test_published_form(tmp_path: Path) -> None:
    row = take_rl(convert_record("eurus", "rl", tmp_path, RECORD))
    assert row.ground_truth == {"inputs": ["1\n"] * 10, "outputs": ["2\n"] * 10}
    assert (row.data_source, row.id) == ("eurus/taco", "taco/train/3")
    assert [(message.role, message.content) for message in row.prompt] == [("system", "S"), ("user", QUESTION)]


def test_answer_form(tmp_path: Path) -> None:
    (message,) = take_rl(convert_record("eurus", "rl", tmp_path, RECORD, form="answer")).prompt
    assert message.content.startswith("Double it.\nThe program reads standard input")
    assert "Present the code" not in message.content
    calls = {"fn_name": "double", "inputs": [[1]], "outputs": [[2]]}
    record = {**RECORD, "reward_model": {"ground_truth": json.dumps(calls)}}
    (message,) = take_rl(convert_record("eurus", "rl", tmp_path, record, form="answer")).prompt
    assert "```python\ndef double(...):\n```" in message.content


KEYS: dict[str, Any] = {"fn_name": "f", "inputs": [[{"50": 1}]], "outputs": [["50"]]}


@pytest.mark.parametrize(
    ("options", "truth", "scores"),
    [
        ({}, KEYS, (0.0, 1.0)),
        ({"integer_keys": True}, KEYS, (0.0, 1.0)),
        ({"integer_keys": False}, {**KEYS, "integer_keys": False}, (1.0, 0.0)),
    ],
)
def test_keys_that_look_like_integers(
    tmp_path: Path, options: dict[str, Any], truth: dict[str, Any], scores: tuple[float, float]
) -> None:
    record = {**RECORD, "reward_model": {"ground_truth": json.dumps(KEYS)}}
    row = take_rl(convert_record("eurus", "rl", tmp_path, record, **options))
    assert row.ground_truth == truth
    programs = ("def f(d):\n    return list(d)", "def f(d):\n    return [str(key) for key in d if key == 50]")
    assert tuple(judge(row, program) for program in programs) == scores
    value = {**KEYS, "inputs": [[3]], "outputs": [{"50": 1}]}
    row = take_rl(
        convert_record("eurus", "rl", tmp_path, {**RECORD, "reward_model": {"ground_truth": json.dumps(value)}}, **options)
    )
    assert judge(row, "def f(n):\n    return {'50': 1}") == 1.0
    assert judge(row, "def f(n):\n    return {50: 1}") == scores[1]


def test_system_message_of_the_tool_replaces_the_published_one(tmp_path: Path) -> None:
    row = take_rl(convert_record("eurus", "rl", tmp_path, RECORD, tool="python_interpreter"))
    assert [message.role for message in row.prompt] == ["system", "user"]
    assert row.prompt[0].content != "S"
    assert row.prompt[1].content == QUESTION


def test_programs_are_scored() -> None:
    rows = [row for row in convert_example("eurus", "rl").rows if isinstance(row, RlRow)]
    programs = [
        "ways = [1, 1, 1]\nn = int(input())\nwhile len(ways) <= n:\n    ways.append(ways[-1] + ways[-3])\nprint(ways[n])",
        "def common_start(words):\n    first = Counter(word[0] for word in words).most_common(1)[0][0]\n"
        "    return [word for word in words if word[0] == first]",
        "for n in range(int(input()), 0, -1):\n    print(n)",
    ]
    assert [judge(row, program) for row, program in zip(rows, programs, strict=True)] == [1.0, 1.0, 1.0]
    assert [judge(row, "print(0)") for row in rows] == [0.0, 0.0, 0.0]


def test_rows_with_one_question_share_a_problem(tmp_path: Path) -> None:
    other = {**RECORD, "data_source": "apps", "extra_info": {"split": "train", "index": 4}}
    assert len({take_rl(convert_record("eurus", "rl", tmp_path, record)).problem for record in (RECORD, other)}) == 1


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    example = CONVERTERS["eurus"].example
    records = [json.loads(line) for line in example.read_text(encoding="utf-8").splitlines()]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "train.parquet")
    assert convert([Source("eurus", tmp_path)], "rl").rows == convert_example("eurus", "rl").rows


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"ability": "math"}, "left_out", "ability is 'math', not code"),
        ({"reward_model": {"ground_truth": '{"inputs": [], "outputs": []}'}}, "left_out", "it has no tests"),
        ({"reward_model": {"ground_truth": "{"}}, "rejected", "reward_model.ground_truth: not JSON: "),
        ({"prompt": RECORD["prompt"][:1]}, "rejected", "the prompt does not end with a user's message"),
        ({"prompt": [{"role": "tool", "content": "Q"}]}, "rejected", "prompt[0].role is 'tool'"),
    ],
)
def test_records_without_rows(tmp_path: Path, change: dict[str, Any], kind: str, reason: str) -> None:
    found = take_reject(convert_record("eurus", "rl", tmp_path, {**RECORD, **change}))
    assert (found[0], found[1][: len(reason)]) == (kind, reason)
