"""After each checkpoint of verl's SFT trainer: what it is worth is written into it, and old ones go."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipelines.trainers.verl.attempt_files import KEEP_BEST
from pipelines.trainers.verl.checkpoints.best import LOSS, find_least_loss
from pipelines.trainers.verl.checkpoints.rotation import mark_whole, read_mark, remove_old, step_of


def mark_and_rotate(folder: Path, step: int, keep: int | None) -> None:
    """Marks a checkpoint that every rank has written, with its validation loss, if it has one.

    Args:
        folder: global_step_N.
        step: N.
        keep: how many of the newest are kept; None: all. The best is kept besides, if it is to be handed on.
    """
    log = Path(os.environ["VERL_FILE_LOGGER_PATH"])
    found = validation_loss(log, step) if log.exists() else None
    progress: dict[str, Any] = {"step": step}
    mark_whole(folder, progress if found is None else progress | {LOSS: found})
    marks = {step_of(each): read_mark(each) or {} for each in folder.parent.glob("global_step_*")}
    remove_old(folder.parent, keep, find_least_loss(marks) if os.environ.get(KEEP_BEST) else None)


def validation_loss(log: Path, step: int) -> float | None:
    """What verl's `file` logger said of the validation at a step; None where there was none."""
    rows = [json.loads(line) for line in log.read_bytes().splitlines()]
    said = [row["data"]["val/loss"] for row in rows if row["step"] == step and "val/loss" in row["data"]]
    return float(said[-1]) if said and said[-1] is not None else None
