"""The new lines of a log that a command is writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


class LogLines:
    """Read a log from its present end.

    Args:
        path: The log; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = path.stat().st_size if path.is_file() else 0
        self._rest = b""

    def read(self, *, ended: bool = False) -> Iterator[str]:
        """Yield the lines that were completed since the last call, without states of progress bars that were overwritten.

        Args:
            ended: Nothing more is written: also yield an incomplete last line.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                new = file.read()
        except FileNotFoundError:
            return
        self._place += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        if ended and self._rest:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            shown = line.rstrip(b"\r").rpartition(b"\r")[2]  # a bar writes its states over each other
            if shown.strip():
                yield shown.decode("utf-8", "replace")
