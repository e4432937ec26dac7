"""The marker of complete checkpoints (`global_step_N/progress.json`), and the deletion of old ones."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.trainers.verl.attempt_files import KEEP_BEST, METRICS_FOLDER
from pipelines.trainers.verl.checkpoints.best import LOSS, find_lowest_loss
from pipelines.trainers.verl.checkpoints.metrics import read_metrics
from preprocess import atomic

MARKER = "progress.json"


def mark_complete(folder: Path, progress: Mapping[str, Any]) -> None:
    """Mark a checkpoint as completely written, with what is known about it."""
    atomic.write_text(folder / MARKER, json.dumps(progress) + "\n")


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Return what `mark_complete` wrote; None for an incomplete checkpoint."""
    return atomic.read_json(folder / MARKER)


def remove_old(checkpoints: Path, keep: int | None, best: int | None = None) -> None:
    """Delete all checkpoints but the newest `keep` (None: keep all) and the one of step `best`."""
    saved = sorted(checkpoints.glob("global_step_*"), key=step_number)
    for folder in saved[:-keep] if keep else []:
        if step_number(folder) != best:
            (folder / MARKER).unlink(missing_ok=True)  # a kill during the deletion leaves an incomplete checkpoint
            shutil.rmtree(folder)


def mark_and_rotate_sft(folder: Path, step: int, keep: int | None) -> None:
    """Mark an SFT checkpoint that every rank has written, with its validation loss if any; delete old ones.

    Args:
        keep: how many of the newest to keep; None: all. With `keep_best` the best is kept too.
    """
    rows = read_metrics(Path(os.environ[METRICS_FOLDER]))
    losses = [row["val/loss"] for row in rows if row["step"] == step and "val/loss" in row]
    mark_complete(folder, {"step": step, **({LOSS: losses[0]} if losses else {})})
    markers = {step_number(each): read_marker(each) or {} for each in folder.parent.glob("global_step_*")}
    remove_old(folder.parent, keep, find_lowest_loss(markers) if os.environ.get(KEEP_BEST) else None)


def step_number(folder: Path) -> int:
    """Return N of `global_step_N`."""
    return int(folder.name.rpartition("_")[2])
