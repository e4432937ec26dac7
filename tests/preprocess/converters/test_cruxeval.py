"""cruxeval: output and input questions, and the order of rows that are made at the same time."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from preprocess.engine.convert import convert, stream
from preprocess.engine.job import Reject, Source
from tests.preprocess.converters.code_rows import convert_record, take_reject, take_rl, take_sft

CRUXEVAL: dict[str, Any] = {
    "code": "def f(a):\n    b = a * 2\n    return b",
    "input": "'x'",
    "output": "'xx'",
    "id": "sample_0",
}


def test_output(tmp_path: Path) -> None:
    row = take_rl(convert_record("cruxeval", "rl", tmp_path, CRUXEVAL, questions=0))
    assert row.ground_truth == {
        "type": "io_mixed",
        "func_str": CRUXEVAL["code"],
        "func_name": "f",
        "func_args": "'x'",
        "result": "'xx'",
        "question_answers": {"path_answers": [], "state_as": []},
    }
    assert row.id == row.problem == "cruxeval/sample_0"


def test_input(tmp_path: Path) -> None:
    row = take_rl(convert_record("cruxeval", "rl", tmp_path, CRUXEVAL, task="input"))
    assert isinstance(row.ground_truth, dict)
    assert (row.ground_truth["type"], row.ground_truth["question_answers"]) == ("oi", {})
    assert "assert f(??) == 'xx'" in row.prompt[0].content
    answer = take_sft(convert_record("cruxeval", "sft", tmp_path, CRUXEVAL, task="input")).conversations[1].value
    assert answer.endswith(
        "<answer>\n```python\ndef f(a):\n    b = a * 2\n    return b\n\nassert f('x') == 'xx'\n```\n</answer>"
    )


@pytest.mark.parametrize(
    ("change", "reason"), [({"output": "<object>"}, "not a literal"), ({"code": 3}, "code is a number, expected text")]
)
def test_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("cruxeval", "rl", tmp_path, {**CRUXEVAL, **change}))
    assert kind == "rejected"
    assert reason in found


def test_rows_made_at_once_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    slow = "def f(n):\n    while n > 0:\n        n -= 1\n    return n"
    records = [{**CRUXEVAL, "code": slow, "input": str(90 - n), "output": "0", "id": str(n)} for n in range(90)]
    records[7]["output"] = "1"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    result = convert([Source("cruxeval", path, options={"questions": 1})], "rl")
    assert [row.problem for row in result.rows] == [f"cruxeval/{n}" for n in range(90) if n != 7]
    assert [(reject.line, reject.reason) for reject in result.rejects] == [(8, "it returns 0, expected 1")]


def test_stream_converts_lazily(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{not json\n" + (json.dumps(CRUXEVAL) + "\n") * 3 + "[")
    rejected, *made = islice(stream(Source("cruxeval", path), "rl"), 4)
    assert isinstance(rejected, Reject)
    assert all(isinstance(rows, list) and len(rows) == 1 for rows in made)
