"""`metrics.jsonl` of a stage: one line per step, each step once. It grows while the stage is trained."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pipelines.digests import write_atomically

Row = Mapping[str, float]

_TAIL_BYTES = 64 * 1024
"""Larger than any line: verl logs about 100 numbers for a step."""

_CHECKED_BYTES = 256


class MetricsFile:
    """Write the metrics of a running training.

    Args:
        path: The file; what it has is replaced by the first write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0
        self._last: float | None = None

    def write(self, rows: Sequence[Row], *, ended: bool = False) -> None:
        """Append the steps that are new; write all of them again if earlier ones changed.

        Args:
            rows: All steps, in order.
            ended: Also write the last one: while the training runs, its validation may still be added.

        Raises:
            StepError: The file cannot be written.
        """
        whole = list(rows if ended else rows[:-1])
        grows = 0 < self._written <= len(whole) and whole[self._written - 1]["step"] == self._last
        if not whole or (grows and self._written == len(whole) and not ended):
            return
        if grows and not ended:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(map(_to_line, whole[self._written :])))
        else:
            write_atomically(self._path, "".join(map(_to_line, whole)))
        self._written, self._last = len(whole), whole[-1]["step"]


def _to_line(row: Row) -> str:
    return json.dumps(row) + "\n"


def read_metrics(path: Path, after: float = float("-inf")) -> Iterator[Row]:
    """Yield the steps of a file, in order; lines that a kill has torn are skipped.

    Args:
        path: The file; it may be missing.
        after: Leave out the steps up to this one.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                row = _parse(line)
                if row is not None and row["step"] > after:
                    yield row
    except FileNotFoundError:
        return


def read_last(path: Path, key: str = "step") -> Row | None:
    """Return the newest step of a file that has a metric, without reading the whole file; None if it has none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    rows = (_parse(line) for line in reversed(lines))
    return next((row for row in rows if row is not None and isinstance(row.get(key), int | float)), None)


def _parse(line: bytes) -> Row | None:
    with suppress(ValueError):
        row = json.loads(line)
        if isinstance(row, dict) and isinstance(row.get("step"), int | float):
            return row
    return None


class MetricsTail:
    """Reads the steps that are added to a file, each once.

    Args:
        path: The file; it may be missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._end = b""
        """The last bytes before the offset: if the file has others there, it was replaced."""
        self.unreadable = 0
        """Lines that are not the metrics of a step, such as one that a kill has torn."""

    def read(self) -> tuple[list[Row], bool]:
        """Return the steps since the last call, and whether they replace all earlier ones."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset - len(self._end))
                data = file.read()
                replaced = not data.startswith(self._end)
                if replaced:
                    file.seek(0)
                    data, self._end, self._offset, self.unreadable = file.read(), b"", 0, 0
        except FileNotFoundError:
            replaced, data = self._offset > 0, b""
            self._end, self._offset, self.unreadable = b"", 0, 0
            return [], replaced
        whole = data[len(self._end) : data.rfind(b"\n") + 1]
        rows = [_parse(line) for line in whole.splitlines()]
        self.unreadable += rows.count(None)
        self._offset += len(whole)
        self._end = (self._end + whole)[-_CHECKED_BYTES:]
        return [row for row in rows if row is not None], replaced
