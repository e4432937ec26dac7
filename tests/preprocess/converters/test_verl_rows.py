"""verl_rows: rows in verl's columns stay what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from preprocess.converters import CONVERTERS
from preprocess.engine.convert import convert
from preprocess.engine.job import Job, Source
from preprocess.engine.parallel import convert_all
from preprocess.engine.splits import Whole
from preprocess.engine.writing import RowsFile
from preprocess.rows import RlRow, to_json
from tests.preprocess.converters.code_rows import convert_example, convert_record, take_reject, take_rl

RECORD: dict[str, Any] = {
    "data_source": "mine",
    "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "What?"}],
    "reward_model": {"style": "rule", "ground_truth": "42"},
}


def test_rows_of_verl(tmp_path: Path) -> None:
    row = take_rl(convert_record("verl_rows", "rl", tmp_path, RECORD))
    assert (row.id, row.data_source, row.detail, row.tools) == ("rows:1", "mine", {}, ())
    assert [message.role for message in row.prompt] == ["system", "user"]
    assert to_json(row.ground_truth) == "42"


@pytest.mark.parametrize(("truth", "text"), [("plain text", "plain text"), ({"a": [1]}, '{"a":[1]}'), (["x"], '["x"]')])
def test_ground_truths(tmp_path: Path, truth: Any, text: str) -> None:
    record = {**RECORD, "reward_model": {"ground_truth": truth}}
    assert to_json(take_rl(convert_record("verl_rows", "rl", tmp_path, record)).ground_truth) == text


def test_prepared_rows_are_read_back(tmp_path: Path) -> None:
    """The rows of a stage's parquet file, with their names, details and tools."""
    source, path = (
        Source("humaneval", CONVERTERS["humaneval"].example, options={"tool": "python_interpreter"}),
        tmp_path / "v.parquet",
    )
    file = RowsFile(path, "rl", "validation")
    for part in convert_all([Job(source, "rl", Whole("train"))]):
        for batch in part.batches.values():
            file.write(batch)
    file.keep()
    before = [row for row in convert_example("humaneval", "rl", tool="python_interpreter").rows if isinstance(row, RlRow)]
    after = [row for row in convert([Source("verl_rows", path)], "rl").rows if isinstance(row, RlRow)]

    def show(row: RlRow) -> Any:
        return (row.id, row.data_source, row.prompt, json.loads(to_json(row.ground_truth)), dict(row.detail), row.tools)

    assert list(map(show, after)) == list(map(show, before))
    assert after


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reward_model": {"ground_truth": None}}, "reward_model has no ground_truth"),
        ({"reward_model": {"ground_truth": ""}}, "reward_model has no ground_truth"),
        ({"extra_info": {"detail": "["}}, "extra_info.detail: "),
        ({"prompt": []}, "the prompt does not end with a user's message"),
    ],
)
def test_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("verl_rows", "rl", tmp_path, {**RECORD, **change}))
    assert (kind, found[: len(reason)]) == ("rejected", reason)
