"""Which of verl's checkpoints are whole, and which of them go: `global_step_N/`, whole when it has a `progress.json`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preprocess import atomic

MARK = "progress.json"


def mark_whole(folder: Path, progress: Mapping[str, Any]) -> None:
    """Says of a checkpoint that everything of it is written, and what it is worth."""
    atomic.write_text(folder / MARK, json.dumps(progress) + "\n")


def read_mark(folder: Path) -> dict[str, Any] | None:
    """What `mark_whole` said; None of a checkpoint that is not whole."""
    try:
        progress = json.loads((folder / MARK).read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return progress if isinstance(progress, dict) else None


def remove_old(checkpoints: Path, keep: int | None, best: int | None = None) -> None:
    """Removes all but the newest `keep` checkpoints (None: keeps all), and the one of step `best`."""
    saved = sorted(checkpoints.glob("global_step_*"), key=step_of)
    for folder in saved[:-keep] if keep else []:
        if step_of(folder) != best:
            (folder / MARK).unlink(missing_ok=True)  # no longer whole, should a kill come now
            shutil.rmtree(folder)


def step_of(folder: Path) -> int:
    """N of `global_step_N`."""
    return int(folder.name.rpartition("_")[2])
