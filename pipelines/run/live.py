"""Keep the files of a running step current, from which others read how far it is: `reached.json` and `metrics.jsonl`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pipelines.console.progress import TimeLeft
from pipelines.errors import StepError
from pipelines.records.metrics import MetricsFile, Row
from pipelines.records.progress import FILE, Reached, write_reached
from pipelines.trainers.base import Progress

_SECONDS = 2.0
"""Least time between two writes."""


class LiveFiles:
    """The files of one running step.

    Args:
        folder: The step's folder.
        metrics: The stage's file of metrics, and what returns its steps so far; None: the step trains nothing.
    """

    def __init__(self, folder: Path, metrics: tuple[Path, Callable[[], Sequence[Row]]] | None) -> None:
        self._folder = folder
        (folder / FILE).unlink(missing_ok=True)
        self._rows = metrics[1] if metrics else None
        self._file = MetricsFile(metrics[0]) if metrics else None
        self._left = TimeLeft()
        self._written = float("-inf")

    def update(self, reached: Progress) -> None:
        """Write how far the step is. A file that cannot be written, because the disk is full, stops nothing."""
        left = self._left.estimate(reached.step, reached.total)
        if time.monotonic() - self._written < _SECONDS:
            return
        self._written = time.monotonic()
        with suppress(StepError, OSError):
            self._write(reached, left)
            if self._file is not None and self._rows is not None:
                self._file.write(self._rows())

    def end(self, reached: Progress | None) -> None:
        """Write the files of a step that has ended.

        Raises:
            StepError: The metrics cannot be written.
        """
        if reached is not None:
            with suppress(StepError, OSError):
                self._write(reached, None)
        if self._file is not None and self._rows is not None:
            self._file.write(self._rows(), ended=True)

    def _write(self, reached: Progress, left: float | None) -> None:
        write_reached(
            self._folder,
            Reached(
                step=reached.step,
                total=reached.total,
                shown=reached.shown,
                metrics=dict(reached.metrics),
                seconds_left=left,
                at=time.time(),
            ),
        )
