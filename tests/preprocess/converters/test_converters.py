"""Golden rows of the converters of published data sets, from records of the same form."""

import json
from itertools import islice
from pathlib import Path

import pytest

from preprocess.engine.convert import Converted, convert, stream
from preprocess.engine.job import Reject, Source
from preprocess.rows import RlRow, SftRow

CRUXEVAL = {"code": "def f(a):\n    b = a * 2\n    return b", "input": "'x'", "output": "'xx'", "id": "sample_0"}


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


@pytest.mark.parametrize(
    ("converter", "shape", "record", "reason"),
    [
        ("cruxeval", "rl", {**CRUXEVAL, "output": "<object>"}, "not a literal"),
        ("cruxeval", "rl", {**CRUXEVAL, "code": 3}, "code is a number, expected text"),
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
    assert [(reject.line, reject.reason) for reject in result.rejects] == [(8, "it returns 0, expected 1")]


def test_a_stream_converts_lazily(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{not json\n" + (json.dumps(CRUXEVAL) + "\n") * 3 + "[")
    rejected, *made = islice(stream(Source("cruxeval", path), "rl"), 4)
    assert isinstance(rejected, Reject) and all(isinstance(rows, list) and len(rows) == 1 for rows in made)
