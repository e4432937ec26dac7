"""Read the metrics that verl logs, one file per attempt, and choose the best checkpoint by its validation."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

RL_STEP = "training/global_step"
"""A metric of RL training steps, missing from the validation before the first step."""

_SFT_STEP = "train/loss"
"""A metric of SFT training steps only."""

LOSS = "validation_loss"
"""The key of the validation loss in the marker of an SFT checkpoint."""

_SCORE = re.compile(r"val-(?:core|aux)/(.+)/reward/mean@(\d+)")


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Merge all attempts under verl's names: one mapping per step, each with `step`."""
    steps: dict[int, dict[str, float]] = {}
    for file in sorted(folder.glob("*.jsonl"), key=lambda file: int(file.name.partition("-")[0])):  # by the start time
        attempt = list(_rows(file))
        if attempt:
            # A resumed attempt begins with a validation of the step it resumed from, or with the step after it. Later
            # steps of earlier attempts were lost.
            first = attempt[0]
            kept = first["step"] - 1 if first.keys() & {RL_STEP, _SFT_STEP} else first["step"]
            steps = {step: row for step, row in steps.items() if step <= kept}
        for row in attempt:
            steps.setdefault(int(row["step"]), {}).update(row)
    return [steps[step] for step in sorted(steps)]


def _rows(file: Path) -> Iterator[dict[str, float]]:
    for line in file.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # still being written, or truncated by a kill: the step will be trained and logged again
        numbers = {key: value for key, value in entry["data"].items() if type(value) in (int, float)}
        yield {"step": entry["step"], **numbers}


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
    """Return the best of these steps, the earliest on a tie, and its score; None if none was validated."""
    scored = ((int(row["step"]), score) for row in rows if (score := validation_score(row, metric)) is not None)
    return max((each for each in scored if each[0] in steps), key=lambda each: (each[1], -each[0]), default=None)


def find_lowest_loss(markers: Mapping[int, Mapping[str, Any]]) -> int | None:
    """Return the SFT step whose marker has the lowest validation loss, the earliest on a tie; None if none has one."""
    losses = {step: float(marker[LOSS]) for step, marker in markers.items() if LOSS in marker}
    return min(losses, key=lambda step: (losses[step], step), default=None)
