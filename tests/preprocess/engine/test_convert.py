"""Conversion of a chunk: each record gives rows, or a reject with its line and reason."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from preprocess.engine.convert import Part, convert_chunk
from preprocess.engine.job import Job, Kind, Source
from preprocess.engine.splits import Whole
from preprocess.errors import SourceError
from preprocess.rows import LONGEST_TRUTH, Row
from preprocess.sources.reading import read_chunks
from tests.rows import QUESTION


def _convert(tmp_path: Path, *lines: dict[str, Any] | bytes, **job: Any) -> Part:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines))
    (chunk,) = read_chunks(path, [path], size=10**7)
    return convert_chunk(Job(Source("execverify_rl", path), "rl", **job), chunk)


def _why(part: Part) -> list[tuple[int, str, str]]:
    return [(reject.line, reject.kind, reject.reason) for reject in part.rejects]


def test_rejects_have_line_and_reason(tmp_path: Path) -> None:
    long = {**QUESTION, "func_str": "x" * (LONGEST_TRUTH + 1)}
    latin = json.dumps({**QUESTION, "question_answers": {"a": "ü"}}, ensure_ascii=False).encode("latin-1")
    part = _convert(
        tmp_path,
        QUESTION,
        b'{"type": "oi"',
        {**QUESTION, "type": "x"},
        QUESTION,
        long,
        latin,
        {**QUESTION, "prompt_str": " "},
        rule=Whole("train"),
    )
    assert part.records == 7
    assert part.batches["train"].num_rows == 2
    assert [(line, kind) for line, kind, _ in _why(part)] == [(line, "rejected") for line in (2, 3, 5, 6, 7)]
    reasons = [reason for _, _, reason in _why(part)]
    assert reasons[0].startswith("not JSON")
    assert reasons[1] == "type is 'x', expected io_mixed or oi"
    assert reasons[2].startswith("a ground truth of 2,000,")
    assert reasons[3].startswith("not JSON data: 'utf-8' codec can't decode byte 0xfc")
    assert reasons[4] == "the prompt does not end with a user's message"


def test_missing_column_in_the_first_record_is_an_error(tmp_path: Path) -> None:
    wrong = {("prompt" if key == "prompt_str" else key): value for key, value in QUESTION.items()}
    with pytest.raises(SourceError, match=r"rows.jsonl:1: no column 'prompt_str'; did you mean 'prompt'\?"):
        _convert(tmp_path, wrong, QUESTION, rule=Whole("train"))
    assert _why(_convert(tmp_path, QUESTION, wrong, rule=Whole("train")))[0][0] == 2


@dataclass(frozen=True)
class LeavesOut:
    problem: str
    by_name: ClassVar[bool] = False

    def judge(self, row: Row, name: str) -> tuple[Kind, str] | None:
        return ("contaminated", f"like {self.problem}") if row.problem == self.problem else None


def test_filtered_and_held_out_rows_are_rejects_with_names(tmp_path: Path) -> None:
    rule = Whole("validation")
    other, third = ({**QUESTION, "func_str": f"def f(a):\n    return {n}"} for n in (2, 3))
    problems = [_problem(tmp_path, each) for each in (other, third)]
    train = Whole("train", frozenset({rule.digest(problems[0])}))
    part = _convert(tmp_path, QUESTION, other, third, rule=train, filters=(LeavesOut(problems[1]),))
    assert _why(part) == [
        (2, "held_out", "its problem is among the validation rows"),
        (3, "contaminated", f"like {problems[1]}"),
    ]
    assert all(reject.row for reject in part.rejects)
    assert part.batches["train"].num_rows == 1


def _problem(tmp_path: Path, record: dict[str, Any]) -> str:
    from preprocess.engine.convert import convert

    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(record) + "\n")
    return convert([Source("execverify_rl", path)], "rl").rows[0].problem


def test_limit_counts_records(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(QUESTION) + "\n\n" for _ in range(9)))
    job = Job(Source("execverify_rl", path, limit=4), "rl", Whole("train"))
    assert sum(convert_chunk(job, chunk).records for chunk in job.read()) == 4


def test_byte_order_mark_of_utf_8(tmp_path: Path) -> None:
    part = _convert(tmp_path, b"\xef\xbb\xbf" + json.dumps(QUESTION).encode(), QUESTION, rule=Whole("train"))
    assert (part.records, part.rejects) == (2, [])
