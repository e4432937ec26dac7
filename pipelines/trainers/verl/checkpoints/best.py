"""Which checkpoint is the best, by what verl logs of its validations. Read inside verl, too: Python's own library only."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOSS = "validation_loss"
"""Where the mark of a checkpoint of fine-tuning says its validation loss (`rotation.mark_whole`)."""

_SCORE = re.compile(r"val-(?:core|aux)/(.+)/reward/mean@(\d+)")


@dataclass(frozen=True)
class Scored:
    """A step and what its validation is worth."""

    step: int
    score: float


def score_of(row: Mapping[str, float], metric: str | None) -> float | None:
    """What a step's validation is worth; None for a step that was not validated, or not by that metric.

    Args:
        row: the step's metrics, under verl's names.
        metric: the metric that decides, or a pattern of several, `*` standing for any text, whose mean decides. None for
            the score: the mean over data sources, each counting alike however many rows it has, of the mean over its rows
            (verl's `val-core/<data source>/reward/mean@<samples>`, trainer/ppo/v1/trainer_base.py `_val_metrics_update`).
    """
    if metric is not None:
        pattern = re.compile(".*".join(re.escape(part) for part in metric.split("*")))
        values = [row[name] for name in validation_metrics(row) if pattern.fullmatch(name)]
        return sum(values) / len(values) if values else None
    scores: dict[str, tuple[int, float]] = {}
    for name in row:
        if found := _SCORE.fullmatch(name):
            # Where some rows of a source lost answers, verl logs means over fewer of them beside that over all.
            source, answers = found[1], int(found[2])
            scores[source] = max(scores.get(source, (0, 0.0)), (answers, row[name]))
    return sum(score for _, score in scores.values()) / len(scores) if scores else None


def validation_metrics(row: Mapping[str, float]) -> list[str]:
    """The names of what a step's validation was measured by."""
    return [name for name in row if name.startswith("val-")]


def find_best(rows: Sequence[Mapping[str, float]], steps: Collection[int], metric: str | None) -> Scored | None:
    """The best of these steps, the earliest of equals; None where none was validated."""
    scored = [Scored(int(row["step"]), score) for row in rows if (score := score_of(row, metric)) is not None]
    return max((each for each in scored if each.step in steps), key=lambda each: (each.score, -each.step), default=None)


def find_least_loss(marks: Mapping[int, Mapping[str, Any]]) -> int | None:
    """The step of fine-tuning with the least validation loss, the earliest of equals; None where none has one.

    Args:
        marks: of each checkpoint, by its step.
    """
    losses = {step: float(mark[LOSS]) for step, mark in marks.items() if LOSS in mark}
    return min(losses, key=lambda step: (losses[step], step), default=None)
