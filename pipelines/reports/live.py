"""Keep the report of a run current while it runs (`report: live`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipelines.reports import FILE

if TYPE_CHECKING:
    from pipelines.reports.report import Report

_SECONDS = 30.0
"""Least time between two writes."""

_SHARE = 0.01
"""Most of the time that may be spent on writing."""


class LiveReport:
    """Writes the report of a run again and again, once it has begun, and at the end of the `with` block.

    A report that cannot be written never stops the run: it is said once.

    Args:
        directory: The run directory.
        now: The clock.
    """

    def __init__(self, directory: Path, now: Callable[[], float] = time.monotonic) -> None:
        self.path = directory / FILE
        self.begun = False
        self._directory = directory
        self._say: Callable[[str], None] = print
        self._now = now
        self._report: Report | None = None
        self._due = 0.0
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # Outside of `hold`, so that the page has the state in which the run is left.
        if self.begun:
            self.write(fsync=True)

    def begin(self, say: Callable[[str], None]) -> None:
        """Write the report for the first time.

        Args:
            say: Prints a line for the user.
        """
        self._say, self.begun, self._due = say, True, self._now()
        self.update()

    def update(self) -> None:
        """Write the report if it has begun and enough time has passed since the last time."""
        begin = self._now()
        if self.begun and begin >= self._due:
            self.write(fsync=False)
            end = self._now()
            self._due = end + max(_SECONDS, (end - begin) / _SHARE)

    def write(self, *, fsync: bool) -> bool:
        """Write the report; return whether it could be written."""
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
