"""The progress of a preparation, in a small file that other processes read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from preprocess import atomic

Progress = Callable[[int, int, int], None]
"""A callback that gets the bytes read, the total bytes, and the records converted."""

_SECONDS = 0.3


@dataclass(frozen=True)
class ProgressCounts:
    """The content of a progress file: the bytes read, the total bytes, and the records converted."""

    bytes: int
    total: int
    records: int


@contextmanager
def progress_file(path: Path) -> Iterator[Progress]:
    """Yield a callback that updates the file a few times a second; delete the file when the block ends."""
    updated = 0.0

    def update(done: int, total: int, records: int) -> None:
        nonlocal updated
        if (now := time.monotonic()) - updated < _SECONDS and done < total:
            return
        updated = now
        with suppress(OSError):  # the preparation does not depend on it
            atomic.write_text(path, json.dumps(asdict(ProgressCounts(done, total, records))), fsync=False)

    try:
        yield update
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def read_progress(path: Path) -> ProgressCounts | None:
    """Read a progress file; None if it is missing or invalid."""
    try:
        return ProgressCounts(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
