"""The validations of a training row by row (`train/validations/STEP.json`), and the uncertainty of their means.

Two steps are compared on the same rows: their difference is less uncertain than either mean.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.trainers.verl.checkpoints.best import MEAN
from preprocess import atomic

Validation = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Data source -> row -> value, such as `accuracy` -> its mean over the row's answers."""

_NORMAL = 1.96
"""Half of the width of a 95 % interval, in standard errors."""


def save_validation(
    folder: Path, step: int, data_sources: Sequence[str], prompts: Sequence[str], values: Mapping[str, Sequence[Any]]
) -> None:
    """Save the validation of a step; of a value, there is one per answer (None: it is missing). Texts are left out."""
    answers: dict[str, dict[str, dict[str, list[float]]]] = {}
    for place, (source, prompt) in enumerate(zip(data_sources, prompts, strict=True)):
        # At each validation, verl shuffles the rows and gives them new names.
        row = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:16]
        found = answers.setdefault(str(source), {}).setdefault(row, {})
        for name, each in values.items():
            if len(each) == len(prompts) and each[place] is not None and not isinstance(each[place], str):
                found.setdefault(name, []).append(float(each[place]))
    means = {
        source: {row: {name: statistics.fmean(given) for name, given in found.items()} for row, found in sorted(rows.items())}
        for source, rows in sorted(answers.items())
    }
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(folder / f"{step}.json", json.dumps(means) + "\n")


def read_validation(folder: Path, step: int) -> Validation:
    """Return the validation of a step; empty if it was not saved."""
    return atomic.read_json(folder / f"{step}.json") or {}


def half_width(validation: Validation, metrics: Sequence[str], other: Validation | None = None) -> float | None:
    """Return half of the width of the 95 % interval of a step's score, or of its difference from another step's.

    Args:
        metrics: the metrics that are averaged (`Criterion.metrics`).
        other: the other step's validation.

    Returns:
        None if the interval is unknown: a metric is not a mean over rows, or a data source has fewer than two rows.
    """
    values: dict[str, list[str]] = {}
    for name in metrics:
        if (found := MEAN.fullmatch(name)) is None:
            return None
        values.setdefault(found["source"], []).append(found["value"])
    variance = 0.0
    for source, names in values.items():
        means = _row_means(validation, source, names)
        if other is not None:
            others = _row_means(other, source, names)
            means = {row: mean - others[row] for row, mean in means.items() if row in others}
        if len(means) < 2:
            return None
        share = len(names) / len(metrics)
        variance += share**2 * statistics.variance(means.values()) / len(means)
    return _NORMAL * math.sqrt(variance) if math.isfinite(variance) and metrics else None


def _row_means(validation: Validation, source: str, names: Sequence[str]) -> dict[str, float]:
    rows = validation.get(source, {})
    return {row: statistics.fmean(found[name] for name in names) for row, found in rows.items() if found.keys() >= set(names)}
