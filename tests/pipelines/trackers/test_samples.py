"""The samples that trackers show."""

from __future__ import annotations

from pathlib import Path

from pipelines.records.samples import Sample, Split
from pipelines.trackers.samples import COLUMNS, choose_samples
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import write_samples


def sample(split: Split, step: int, row: int, response: str = "r") -> Sample:
    return Sample(
        split=split,
        step=step,
        source="s",
        row=str(row),
        group=row,
        number=0,
        prompt="p",
        response=response,
        score=0.5,
        reason="why",
        tokens=3,
    )


def test_a_stage_without_samples_has_none(tmp_path: Path) -> None:
    assert choose_samples(StagePaths(tmp_path)) is None


def test_steps_are_spread_and_bounded(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    for step in range(1, 101):
        write_samples(paths.samples, "train", step, [sample("train", step, row) for row in range(16)], 16)
    write_samples(paths.samples, "validation", 100, [sample("validation", 100, 0, "x" * 100_000)], 1)
    found = choose_samples(paths)
    assert found is not None
    assert found.columns == COLUMNS
    first, *rest = (dict(zip(COLUMNS, row, strict=True)) for row in found.rows)
    assert (first["split"], first["step"]) == ("validation", 100)
    assert isinstance(first["response"], str) and len(first["response"]) < 10_000
    steps = sorted({int(str(row["step"])) for row in rest})
    assert len(steps) == 20 and (steps[0], steps[-1]) == (1, 100)
    assert len(rest) == 20 * 8
