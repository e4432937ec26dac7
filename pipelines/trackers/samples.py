"""Choose the samples of a stage that trackers show."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.records.samples import Sample, Split, read_samples, sample_steps
from pipelines.trackers.base import Samples
from pipelines.trainers.base import StagePaths

COLUMNS = ("split", "step", "source", "row", "score", "reason", "tokens", "prompt", "response")

_STEPS = 20
_PER_STEP = 8
_LONGEST = 8_000
"""Characters of a text: trackers keep a table in one file or request."""


def choose_samples(paths: StagePaths) -> Samples | None:
    """Return samples of steps from the first to the last; None if the stage kept none."""
    rows = [_to_row(each) for split in _splits() for each in _choose(paths, split)]
    return Samples(COLUMNS, rows) if rows else None


def _splits() -> tuple[Split, ...]:
    return "validation", "train"


def _choose(paths: StagePaths, split: Split) -> list[Sample]:
    steps = _spread(sample_steps(paths, split))
    counts = dict.fromkeys(steps, 0)
    chosen = []
    for sample in read_samples(paths, split, steps):
        counts[sample.step] = counts.get(sample.step, 0) + 1
        if counts[sample.step] <= _PER_STEP:
            chosen.append(sample)
    return chosen


def _spread(steps: Sequence[int]) -> list[int]:
    """Return at most `_STEPS` steps at equal distances, the first and the last among them."""
    if len(steps) <= _STEPS:
        return list(steps)
    return [steps[round(number * (len(steps) - 1) / (_STEPS - 1))] for number in range(_STEPS)]


def _to_row(sample: Sample) -> list[str | int | float | None]:
    texts = (each if len(each) <= _LONGEST else f"{each[:_LONGEST]} …" for each in (sample.prompt, sample.response))
    return [sample.split, sample.step, sample.source, sample.row, sample.score, sample.reason, sample.tokens, *texts]
