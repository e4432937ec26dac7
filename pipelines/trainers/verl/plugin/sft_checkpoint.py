"""Mark each SFT checkpoint as complete and delete old ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipelines.trainers.verl.attempt_files import KEEP_BEST
from pipelines.trainers.verl.checkpoints.best import LOSS, find_lowest_loss
from pipelines.trainers.verl.checkpoints.rotation import mark_complete, read_marker, remove_old, step_number


def mark_and_rotate(folder: Path, step: int, keep: int | None) -> None:
    """Mark a checkpoint that every rank has written, with its validation loss if any.

    Args:
        folder: global_step_N.
        step: N.
        keep: how many of the newest to keep; None: all. With `keep_best` the best is kept too.
    """
    log = Path(os.environ["VERL_FILE_LOGGER_PATH"])
    loss = validation_loss(log, step) if log.exists() else None
    progress: dict[str, Any] = {"step": step}
    mark_complete(folder, progress if loss is None else progress | {LOSS: loss})
    markers = {step_number(each): read_marker(each) or {} for each in folder.parent.glob("global_step_*")}
    remove_old(folder.parent, keep, find_lowest_loss(markers) if os.environ.get(KEEP_BEST) else None)


def validation_loss(log: Path, step: int) -> float | None:
    """Return the validation loss that verl's `file` logger has for a step; None if it was not validated."""
    rows = [json.loads(line) for line in log.read_bytes().splitlines()]
    losses = [row["data"]["val/loss"] for row in rows if row["step"] == step and "val/loss" in row["data"]]
    return float(losses[-1]) if losses and losses[-1] is not None else None
