"""Helpers for the tests of converters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from preprocess.converters import CONVERTERS
from preprocess.engine.convert import Converted, convert
from preprocess.engine.job import Source
from preprocess.rows import RlRow, SftRow, Shape, to_json
from rewards.entry import compute_score_blocking
from rewards.parsing import answers

SHAPES: tuple[Shape, Shape] = ("sft", "rl")


def convert_example(name: str, shape: Shape, **options: Any) -> Converted:
    """Convert the example of a converter with these options."""
    return convert([Source(name, CONVERTERS[name].example, options=options)], shape)


def convert_record(name: str, shape: Shape, path: Path, record: Any, **options: Any) -> Converted:
    """Convert one record, from a file in `path`."""
    source = path / "rows.jsonl"
    source.write_text(f"{json.dumps(record)}\n", encoding="utf-8")
    return convert([Source(name, source, options=options)], shape)


def take_rl(result: Converted) -> RlRow:
    """Return the only row."""
    (row,) = result.rows
    assert isinstance(row, RlRow)
    return row


def take_sft(result: Converted) -> SftRow:
    """Return the only row."""
    (row,) = result.rows
    assert isinstance(row, SftRow)
    return row


def take_reject(result: Converted) -> tuple[str, str]:
    """Return kind and reason of the only reject, if there are no rows."""
    assert not result.rows
    (reject,) = result.rejects
    return reject.kind, reject.reason


def judge(row: RlRow, program: str) -> float:
    """Return the score of a program by code_tests."""
    response = answers.make_response(f"```python\n{program.strip()}\n```")
    return judge_response(row, response)


def judge_response(row: RlRow, response: str) -> float:
    """Return the score of a response by code_tests; the row must not fail."""
    info = {"id": row.id, "detail": to_json(row.detail)}
    result = compute_score_blocking(
        row.data_source, response, to_json(row.ground_truth), info, rewards=[{"name": "code_tests"}]
    )
    assert not result["failed"], row.id
    return result["score"]
