"""How far a preparation is, in a small file that whoever waits for it can read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from preprocess import atomic

Progress = Callable[[int, int, int], None]
"""Told the bytes read, the bytes to read, and the records converted, as it goes."""

_SECONDS = 0.3


@dataclass(frozen=True)
class Reached:
    """How far it is."""

    bytes: int
    """Read so far."""
    total: int
    """Bytes of all sources."""
    records: int
    """Converted so far."""


@contextmanager
def progress_file(path: Path) -> Iterator[Progress]:
    """Keeps the file up to date, a few times a second; it goes when the block ends."""
    shown = 0.0

    def tell(done: int, total: int, records: int) -> None:
        nonlocal shown
        if (now := time.monotonic()) - shown < _SECONDS and done < total:
            return
        shown = now
        with suppress(OSError):  # what is prepared does not depend on it
            atomic.write_text(path, json.dumps(asdict(Reached(done, total, records))), fsync=False)

    try:
        yield tell
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def read_progress(path: Path) -> Reached | None:
    """How far it is; None when it does not say."""
    try:
        return Reached(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
