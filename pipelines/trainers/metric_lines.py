"""Read growing files of metrics: JSON lines to which a trainer appends while a run polls them twice a second.

Standard library only: verl's process imports it, too.
"""

from __future__ import annotations

import json
import math
import threading
from bisect import bisect_left
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


def read_steps(
    paths: Sequence[Path], convert: Callable[[Any], Row], kept: Callable[[Row], float] = lambda _: math.inf
) -> list[Row]:
    """Return one row per step, in order, of the files of several attempts; the caller must not change the rows.

    A row is added to those of its step. Of files that the last call read, only new rows are merged.

    Args:
        paths: the files, the first attempt first; they may be missing.
        convert: makes a row, which has `step`, of a line's JSON value.
        kept: the last step of earlier attempts that counts, by the first row of an attempt.
    """
    global _merged  # noqa: PLW0603 (a process reads the files of one training at a time)
    attempts = read_rows(paths, convert)
    with _lock:
        if not _merged.is_begin_of(paths, attempts):
            _merged = _Merged()
        return _merged.add(paths, attempts, kept)


class _Merged:
    """The steps of some files."""

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self._counts: list[int] = []
        """Rows of each file that are in `_steps`."""
        self._last: Row | None = None
        self._steps: list[Row] = []

    def is_begin_of(self, paths: Sequence[Path], attempts: Sequence[Sequence[Row]]) -> bool:
        """Return whether the files have the rows that are merged, and new ones after them only."""
        known = len(self._paths)
        if self._paths != list(paths[:known]):
            return False
        counts = [len(rows) for rows in attempts[:known]]
        newest = max((place for place, count in enumerate(self._counts) if count), default=None)
        if newest is None:
            return True
        same = counts[:newest] == self._counts[:newest] and counts[newest] >= self._counts[newest]
        # A file that was replaced has other objects.
        return same and attempts[newest][self._counts[newest] - 1] is self._last

    def add(self, paths: Sequence[Path], attempts: Sequence[Sequence[Row]], kept: Callable[[Row], float]) -> list[Row]:
        """Merge the rows that are new; return all steps."""
        counts = [*self._counts, *[0] * (len(paths) - len(self._counts))]
        for rows, count in zip(attempts, counts, strict=True):
            if rows and not count:
                last = kept(rows[0])
                while self._steps and self._steps[-1]["step"] > last:
                    self._steps.pop()
            for row in rows[count:]:
                self._add(row)
                self._last = row
        self._paths, self._counts = list(paths), [len(rows) for rows in attempts]
        return list(self._steps)

    def _add(self, row: Row) -> None:
        place = bisect_left(self._steps, row["step"], key=lambda each: each["step"])
        if place < len(self._steps) and self._steps[place]["step"] == row["step"]:
            self._steps[place] = {**self._steps[place], **row}
        else:
            self._steps.insert(place, row)


_merged = _Merged()


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
