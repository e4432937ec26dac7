"""The marker of complete checkpoints (`global_step_N/progress.json`), and the deletion of old ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preprocess import atomic

MARKER = "progress.json"


def mark_complete(folder: Path, progress: Mapping[str, Any]) -> None:
    """Mark a checkpoint as completely written, with what is known about it."""
    atomic.write_text(folder / MARKER, json.dumps(progress) + "\n")


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Return what `mark_complete` wrote; None for an incomplete checkpoint."""
    try:
        progress = json.loads((folder / MARKER).read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return progress if isinstance(progress, dict) else None


def remove_old(checkpoints: Path, keep: int | None, best: int | None = None) -> None:
    """Delete all checkpoints but the newest `keep` (None: keep all) and the one of step `best`."""
    saved = sorted(checkpoints.glob("global_step_*"), key=step_number)
    for folder in saved[:-keep] if keep else []:
        if step_number(folder) != best:
            (folder / MARKER).unlink(missing_ok=True)  # a kill during the deletion leaves an incomplete checkpoint
            shutil.rmtree(folder)


def step_number(folder: Path) -> int:
    """Return N of `global_step_N`."""
    return int(folder.name.rpartition("_")[2])
