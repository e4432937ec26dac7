"""Keep the report of a run current while it runs (`report: live`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.reports import FILE

if TYPE_CHECKING:
    from pipelines.reports.report import Report

_SECONDS = 30.0
"""Least time between two writes."""

_SHARE = 0.01
"""Most of the time that may be spent on writing."""


class LiveReport:
    """Writes the report of a run again and again. A report that cannot be written never stops the run: it is said once.

    Args:
        directory: The run directory.
        say: Prints a line for the user.
        now: The clock.
    """

    def __init__(self, directory: Path, say: Callable[[str], None] = print, now: Callable[[], float] = time.monotonic) -> None:
        self.path = directory / FILE
        self._directory = directory
        self._say, self._now = say, now
        self._report: Report | None = None
        self._due = float("-inf")
        self._failed = False

    def update(self) -> None:
        """Write the report if enough time has passed since the last time. Called twice a second."""
        begin = self._now()
        if begin >= self._due:
            self._write(fsync=False)
            end = self._now()
            self._due = end + max(_SECONDS, (end - begin) / _SHARE)

    def end(self) -> bool:
        """Write the report of a run that has ended; return whether it could be written."""
        return self._write(fsync=True)

    def _write(self, *, fsync: bool) -> bool:
        try:
            from pipelines.reports.report import Report  # the start of a run does not wait for it

            self._report = self._report or Report([self._directory], live=True)
            self._report.write(self.path, fsync=fsync)
        except Exception as error:  # also of a defect in the report: the training is worth more
            if not self._failed:
                self._say(f"warning: {self.path} is not written: {str(error) or type(error).__name__}")
            self._failed = True
            return False
        self._failed = False
        return True
