"""Read the metrics that verl logs, one file per attempt, and choose the best checkpoint by its validation."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.trainers.metric_lines import merge_row, read_rows

RL_STEP = "training/global_step"
"""A metric of RL training steps, missing from the validation before the first step."""

_SFT_STEP = "train/loss"
"""A metric of SFT training steps only."""

LOSS = "validation_loss"
"""The key of the validation loss in the marker of an SFT checkpoint."""

_SCORE = re.compile(r"val-(?:core|aux)/(.+)/reward/mean@(\d+)")


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Merge all attempts under verl's names: one mapping per step, each with `step`; the caller must not change them."""
    steps: dict[int, dict[str, float]] = {}
    files = sorted(folder.glob("*.jsonl"), key=lambda file: int(file.name.partition("-")[0]))  # by the start time
    for attempt in read_rows(files, _to_row):
        if attempt:
            # A resumed attempt begins with a validation of the step it resumed from, or with the step after it. Later
            # steps of earlier attempts were lost.
            first = attempt[0]
            kept = first["step"] - 1 if first.keys() & {RL_STEP, _SFT_STEP} else first["step"]
            steps = {step: row for step, row in steps.items() if step <= kept}
        for row in attempt:
            merge_row(steps, row)
    return [steps[step] for step in sorted(steps)]


def _to_row(entry: Any) -> dict[str, float]:
    """Return the numbers of a line of verl's `file` logger; thousands of rows share the texts of their keys."""
    numbers = {sys.intern(key): value for key, value in entry["data"].items() if type(value) in (int, float)}
    return {"step": entry["step"], **numbers}


def validation_score(row: Mapping[str, float], metric: str | None) -> float | None:
    """Return the validation score of a step; None if the step was not validated, or not by that metric.

    Args:
        metric: a metric, or a pattern with `*` whose matches are averaged. None: the mean reward of each data source
            (verl's `val-core/<data source>/reward/mean@<samples>`, trainer/ppo/v1/trainer_base.py `_val_metrics_update`),
            averaged over the sources with equal weights.
    """
    if metric is not None:
        pattern = re.compile(".*".join(re.escape(part) for part in metric.split("*")))
        values = [row[name] for name in validation_metrics(row) if pattern.fullmatch(name)]
        return sum(values) / len(values) if values else None
    scores: dict[str, tuple[int, float]] = {}
    for name in row:
        if found := _SCORE.fullmatch(name):
            # If some rows of a source lost answers, verl also logs means over fewer answers. The one over most counts.
            source, answers = found[1], int(found[2])
            scores[source] = max(scores.get(source, (0, 0.0)), (answers, row[name]))
    return sum(score for _, score in scores.values()) / len(scores) if scores else None


def validation_metrics(row: Mapping[str, float]) -> list[str]:
    """Return the names of a step's validation metrics."""
    return [name for name in row if name.startswith("val-")]


def find_best(rows: Sequence[Mapping[str, float]], steps: Collection[int], metric: str | None) -> tuple[int, float] | None:
    """Return the best of these steps, the earliest on a tie, and its score; None if none has a finite score."""
    scored = ((int(row["step"]), score) for row in rows if (score := validation_score(row, metric)) is not None)
    finite = (each for each in scored if each[0] in steps and math.isfinite(each[1]))
    return max(finite, key=lambda each: (each[1], -each[0]), default=None)


def find_lowest_loss(markers: Mapping[int, Mapping[str, Any]]) -> int | None:
    """Return the SFT step whose marker has the lowest validation loss, the earliest on a tie; None if none is finite."""
    losses = {step: loss for step, marker in markers.items() if math.isfinite(loss := float(marker.get(LOSS, math.nan)))}
    return min(losses, key=lambda step: (losses[step], step), default=None)
