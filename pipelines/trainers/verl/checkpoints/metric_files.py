"""Read the files of verl's `file` logger, one per attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

RL_STEP = "training/global_step"
"""A metric of RL training steps, missing from the validation before the first step."""

SFT_STEP = "train/loss"
"""A metric of SFT training steps only."""


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Merge all attempts under verl's names: one mapping per step, each with `step`."""
    steps: dict[int, dict[str, float]] = {}
    for file in sorted(folder.glob("*.jsonl"), key=lambda file: int(file.name.partition("-")[0])):  # by the start time
        attempt = list(_rows(file))
        if attempt:
            # A resumed attempt begins with a validation of the step it resumed from, or with the step after it. Later
            # steps of earlier attempts were lost.
            first = attempt[0]
            kept = first["step"] - 1 if first.keys() & {RL_STEP, SFT_STEP} else first["step"]
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
