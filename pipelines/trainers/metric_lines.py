"""Read growing files of metrics: JSON lines to which a trainer appends while a run polls them twice a second.

Standard library only: verl's process imports it, too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, float]

_CHECKED_BYTES = 256

_lock = threading.Lock()
_files: dict[Path, _File] = {}


def read_rows(paths: Sequence[Path], convert: Callable[[Any], Row]) -> list[list[Row]]:
    """Return the rows of each file in the order of its lines; the caller must not change them.

    Of files that the last call read, only what was appended since then is parsed.

    Args:
        paths: the files; they may be missing.
        convert: makes a row of a line's JSON value.
    """
    with _lock:
        kept = {path: _files.get(path) or _File(path) for path in paths}
        _files.clear()
        _files.update(kept)
        return [file.read(convert) for file in kept.values()]


def merge_row(steps: dict[int, Row], row: Row) -> None:
    """Add a row to those of its step without changing it."""
    step = int(row["step"])
    steps[step] = {**steps[step], **row} if step in steps else row


class _File:
    """The rows of one file that were read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Row] = []
        self._size = 0
        """Bytes of the lines that were parsed."""
        self._end = b""
        """The last of these bytes: if the file has others there, it was replaced."""

    def read(self, convert: Callable[[Any], Row]) -> list[Row]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._size - len(self._end))
                data = file.read()
                if not data.startswith(self._end):
                    self._rows, self._size, self._end = [], 0, b""
                    file.seek(0)
                    data = file.read()
        except FileNotFoundError:
            return []
        lines, newline, rest = data[len(self._end) :].rpartition(b"\n")
        self._rows += _parse(lines, convert)
        self._size += len(lines + newline)
        self._end = data[: len(data) - len(rest)][-_CHECKED_BYTES:]
        return self._rows + _parse(rest, convert)


def _parse(lines: bytes, convert: Callable[[Any], Row]) -> list[Row]:
    rows = []
    for line in lines.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # still being written, or truncated by a kill: the step will be trained and logged again
        rows.append(convert(value))
    return rows
