"""How far an evaluation is, read from its files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pipelines.console.progress import Progress

_BLOCK = 1 << 20


class LineCount:
    """Counts the lines of a growing file, each once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = self.lines = 0

    def update(self) -> int:
        """Return the number of complete lines."""
        if self._path.exists():
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._offset = self.lines = 0  # a new file
                file.seek(self._offset)
                while block := file.read(_BLOCK):
                    self._offset += len(block)
                    self.lines += block.count(b"\n")
        return self.lines


class Counts:
    """The generated and the scored responses of all sets.

    Args:
        folders: The sets' folders.
        total: Responses of all sets together.
        now: The clock.
    """

    def __init__(self, folders: Iterable[Path], total: int, now: Callable[[], float] = time.monotonic) -> None:
        folders = tuple(folders)
        self._generated = [LineCount(folder / "generated.jsonl") for folder in folders]
        self._scored = [LineCount(folder / "responses.jsonl") for folder in folders]
        self._total, self._now = total, now
        self._first: tuple[float, int] | None = None
        self.before = self.generated()
        """Responses that were generated when the evaluation started."""

    def generated(self) -> int:
        """Return the number of generated responses."""
        return sum(each.update() for each in self._generated)

    def scored(self) -> int:
        """Return the number of scored responses."""
        return sum(each.update() for each in self._scored)

    def show(self, display: Progress) -> None:
        """Report how far the evaluation is, with the rate since the first new response."""
        generated, scored = self.generated(), self.scored()
        if generated == self.before and scored < self._total and generated < self._total:
            display.update(detail="loading the model")
            return
        self._first = self._first or (self._now(), generated)
        seconds = self._now() - self._first[0]
        rate = f"{(generated - self._first[1]) / seconds:,.1f} responses/s" if seconds >= 1 and generated < self._total else ""
        count = f"generated {generated:,}/{self._total:,}, scored {scored:,}"
        display.update(generated + scored, 2 * self._total, count, rate)
