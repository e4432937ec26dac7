"""Room on the disk for the next checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from pipelines.console.sizes import size_on_disk

_FULL_BYTES = 1 << 20
"""Less room than this is none."""

_SLACK = 16 << 20
"""Room for logs and metrics, on top of a checkpoint."""


def free_bytes(folder: Path) -> int:
    """Return the room on the disk of a folder, which may not exist yet."""
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(existing).free


def is_full(folder: Path) -> bool:
    """Return whether the disk of a folder has no room left."""
    return free_bytes(folder) < _FULL_BYTES


def needed_bytes(checkpoints: Iterable[Path]) -> int:
    """Return the room that the next checkpoint needs: as much as the largest one there is."""
    return max(map(size_on_disk, checkpoints), default=0) + _SLACK
