"""The lines of a file that grows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 20


class Tail:
    """Read a log; a file that was replaced is read again from its beginning.

    Args:
        path: The file; it may be missing.
        after_present: Leave out what the file has now.
    """

    def __init__(self, path: Path, *, after_present: bool = False) -> None:
        self._path = path
        self._file = self._offset = 0
        self._rest = b""
        if after_present and path.exists():
            status = path.stat()
            self._file, self._offset = status.st_ino, status.st_size

    def read(self, *, ended: bool = True) -> Iterator[str]:
        """Yield the lines since the last call, without their ends.

        Args:
            ended: Nothing will be added: yield an unfinished last line, too.
        """
        try:
            with self._path.open("rb") as file:
                status = self._path.stat()
                if status.st_ino != self._file or status.st_size < self._offset:
                    self._file, self._offset, self._rest = status.st_ino, 0, b""
                file.seek(self._offset)
                while chunk := file.read(_CHUNK):
                    self._offset += len(chunk)
                    *lines, self._rest = (self._rest + chunk).split(b"\n")
                    yield from map(_decode, lines)
        except FileNotFoundError:
            return
        if ended and self._rest:
            yield _decode(self._rest)
            self._rest = b""


def _decode(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")
