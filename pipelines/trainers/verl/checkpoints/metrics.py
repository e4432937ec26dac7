"""Read the metrics that verl logs, one file per attempt."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.trainers.metric_lines import read_steps

RL_STEP = "training/global_step"
"""A metric of RL training steps, missing from the validation before the first step."""

_SFT_STEP = "train/loss"
"""A metric of SFT training steps only."""


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Merge all attempts under verl's names: one mapping per step, each with `step`; the caller must not change them."""
    files = sorted(folder.glob("*.jsonl"), key=lambda file: int(file.name.partition("-")[0]))  # by the start time
    return read_steps(files, _to_row, _last_kept)


def _last_kept(first: Mapping[str, float]) -> float:
    """Return the last step of earlier attempts that counts: later ones were lost.

    A resumed attempt begins with a validation of the step it resumed from, or with the step after it.
    """
    return first["step"] - 1 if first.keys() & {RL_STEP, _SFT_STEP} else first["step"]


def _to_row(entry: Any) -> dict[str, float]:
    """Return the numbers of a line of verl's `file` logger; thousands of rows share the texts of their keys."""
    numbers = {sys.intern(key): value for key, value in entry["data"].items() if type(value) in (int, float)}
    return {"step": entry["step"], **numbers}


def validation_metrics(row: Mapping[str, float]) -> list[str]:
    """Return the names of a step's validation metrics."""
    return [name for name in row if name.startswith("val-")]
