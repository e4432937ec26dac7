"""Mark each SFT checkpoint as complete and delete old ones."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.trainers.verl.attempt_files import KEEP_BEST, METRICS_FOLDER
from pipelines.trainers.verl.checkpoints.best import LOSS, find_lowest_loss
from pipelines.trainers.verl.checkpoints.metric_files import read_metrics
from pipelines.trainers.verl.checkpoints.rotation import mark_complete, read_marker, remove_old, step_number


def mark_and_rotate(folder: Path, step: int, keep: int | None) -> None:
    """Mark a checkpoint that every rank has written, with its validation loss if any.

    Args:
        folder: global_step_N.
        step: N.
        keep: how many of the newest to keep; None: all. With `keep_best` the best is kept too.
    """
    rows = read_metrics(Path(os.environ[METRICS_FOLDER]))
    losses = [row["val/loss"] for row in rows if row["step"] == step and "val/loss" in row]
    mark_complete(folder, {"step": step, **({LOSS: losses[0]} if losses else {})})
    markers = {step_number(each): read_marker(each) or {} for each in folder.parent.glob("global_step_*")}
    remove_old(folder.parent, keep, find_lowest_loss(markers) if os.environ.get(KEEP_BEST) else None)
