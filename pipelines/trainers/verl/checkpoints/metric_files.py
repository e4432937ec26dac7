"""The lines of verl's `file` logger, one file per attempt. Read inside verl, too, so it imports nothing but Python's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

TRAINED = "training/global_step"
"""Only a training step has it; a validation before the first step has not."""

FINE_TUNED = "train/loss"
"""What only a training step of verl's SFT trainer has."""


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Every attempt's lines under verl's own names, one mapping per step, each with `step`."""
    steps: dict[int, dict[str, float]] = {}
    for file in sorted(folder.glob("*.jsonl"), key=_started):
        attempt = list(_rows(file))
        if attempt:
            # A resumed attempt begins with a validation of the step it resumed from, or with the step after it. What an
            # earlier attempt did beyond that was lost with it.
            first = attempt[0]
            kept = first["step"] - 1 if first.keys() & {TRAINED, FINE_TUNED} else first["step"]
            steps = {step: row for step, row in steps.items() if step <= kept}
        for row in attempt:
            steps.setdefault(int(row["step"]), {}).update(row)
    return [steps[step] for step in sorted(steps)]


def _rows(file: Path) -> Iterator[dict[str, float]]:
    for line in file.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # being written, or cut short by a kill: the step is trained, and logged, again
        numbers = {key: value for key, value in entry["data"].items() if type(value) in (int, float)}
        yield {"step": entry["step"], **numbers}


def _started(file: Path) -> int:
    """When the attempt began; the plugin puts it into the name."""
    return int(file.name.partition("-")[0])
