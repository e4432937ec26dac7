"""The choice of the best checkpoint: by the metrics of its validation, in SFT by its validation loss."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.trainers.verl.checkpoints.metrics import validation_metrics

LOSS = "validation_loss"
"""The key of the validation loss in the marker of an SFT checkpoint."""

MEAN = re.compile(r"val-(?:core|aux)/(?P<source>.+)/(?P<value>[^/]+)/mean@(?P<answers>\d+)")
"""A mean over the validation rows of a data source (verl's trainer/ppo/v1/trainer_base.py `_val_metrics_update`)."""


@dataclass(frozen=True)
class Criterion:
    """What the validations of a training are compared by; the greatest is the best."""

    name: str
    """For the user."""
    value: str = ""
    """The value whose means over each data source are averaged, with equal weights."""
    pattern: re.Pattern[str] | None = None
    """Metrics that are averaged instead."""

    def metrics(self, row: Mapping[str, float]) -> list[str]:
        """Return the names of a step's metrics that are averaged."""
        if self.pattern is not None:
            return [name for name in validation_metrics(row) if self.pattern.fullmatch(name)]
        means: dict[str, tuple[int, str]] = {}
        for name in row:
            if (found := MEAN.fullmatch(name)) and found["value"] == self.value:
                # If some rows of a source lost answers, verl also logs means over fewer answers. The one over most counts.
                source, answers = found["source"], int(found["answers"])
                means[source] = max(means.get(source, (0, "")), (answers, name))
        return [name for _, name in means.values()]

    def score(self, row: Mapping[str, float]) -> float | None:
        """Return a step's score; None if the step was not validated, or not by these metrics."""
        values = [row[name] for name in self.metrics(row)]
        return sum(values) / len(values) if values else None


_BY_SCORE = Criterion("validation score", "reward")
_BY_ACCURACY = Criterion("validation accuracy", "accuracy")
_HAS_ACCURACY = Criterion("", "has_accuracy")


def find_criterion(rows: Sequence[Mapping[str, float]], metric: str | None) -> Criterion:
    """Return what the steps of a training are compared by.

    Args:
        metric: a metric, or a pattern with `*`. None: the accuracy, without bonuses, if every reward has returned one for every
            validation row (`rewards.entry.compute_score`), else the score.
    """
    if metric is not None:
        return Criterion(metric, pattern=re.compile(".*".join(re.escape(part) for part in metric.split("*"))))
    scored = [row for row in rows if _BY_SCORE.metrics(row)]
    measured = all(_has_accuracy(row) for row in scored)
    return _BY_ACCURACY if scored and measured else _BY_SCORE


def _has_accuracy(row: Mapping[str, float]) -> bool:
    names = _HAS_ACCURACY.metrics(row)
    return len(names) == len(_BY_SCORE.metrics(row)) and all(row[name] == 1.0 for name in names)


def find_best(rows: Sequence[Mapping[str, float]], steps: Collection[int], criterion: Criterion) -> tuple[int, float] | None:
    """Return the best of these steps, the earliest on a tie, and its score; None if none has a finite score."""
    scored = ((int(row["step"]), score) for row in rows if (score := criterion.score(row)) is not None)
    finite = (each for each in scored if each[0] in steps and math.isfinite(each[1]))
    return max(finite, key=lambda each: (each[1], -each[0]), default=None)


def find_lowest_loss(markers: Mapping[int, Mapping[str, Any]]) -> int | None:
    """Return the SFT step whose marker has the lowest validation loss, the earliest on a tie; None if none is finite."""
    losses = {step: loss for step, marker in markers.items() if math.isfinite(loss := float(marker.get(LOSS, math.nan)))}
    return min(losses, key=lambda step: (losses[step], step), default=None)
