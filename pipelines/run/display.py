"""What a run prints: one line per finished step and a bar for the running one; plain lines outside a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Literal, TextIO

from pipelines.console.progress import Progress, format_seconds
from pipelines.console.tables import escape_controls
from pipelines.records.logs.noise import Cleaner
from pipelines.records.logs.tail import Tail
from pipelines.run.plan import Step
from pipelines.trainers.base import Progress as Reached

Detail = Literal["quiet", "normal", "verbose"]
"""quiet: warnings only; verbose: also the steps' logs."""

_NARROW = 100
"""Terminals below this width get the first metric only."""


class Display(Progress):
    """Report the steps of a run.

    Args:
        steps: how many steps there are.
        stream: where to report; default: standard output.
        detail: how much.
    """

    def __init__(self, steps: int, stream: TextIO | None = None, detail: Detail = "normal") -> None:
        self._detail_level: Detail = detail
        super().__init__(stream or sys.stdout)
        self._steps = steps
        self._number = 0
        self._log: tuple[Tail, Cleaner] | None = None

    def say(self, text: str, *, markup: bool = False) -> None:
        """Print a line of its own; nothing if the display is quiet."""
        if self._detail_level != "quiet":
            super().say(text, markup=markup)

    def skipped(self, step: Step) -> None:
        """Report a step that had nothing to do."""
        self._number += 1
        self._line(step, "-", "done before", dim=True)

    def waiting(self, step: Step, trainers: Sequence[str]) -> None:
        """Report that a step waits for environments that are being built."""
        what = f"waiting for the environment of {' and '.join(trainers)}"
        if self.live:
            self.start(f"{self._number + 1}/{self._steps} {step.name}")
            self.update(detail=what)
        else:
            self.say(f"[{self._number + 1}/{self._steps}] {step.name}: {what}")

    def started(self, step: Step, why: str) -> None:
        """Report the start of a step and its reason."""
        self._number += 1
        if self._detail_level == "verbose":
            self._log = Tail(step.directory / "log", after_present=True), Cleaner()
        if self.live:
            if self._detail_level != "quiet":
                self.start(f"{self._number}/{self._steps} {step.name}")
            if why not in ("not done yet", "--fresh"):
                self._line(step, "[yellow]*[/yellow]", why)
        else:
            self.start(self._head(step))
            self.say(f"{self._head(step)}: {step.title} ({why})")

    def progressed(self, step: Step, reached: Reached) -> None:
        """Report how far the running step is."""
        metrics = [f"{name} {value:.4g}" for name, value in reached.metrics.items()]
        shown = metrics[: 1 if self.width < _NARROW else 3] if self.live else metrics
        self.update(reached.step, reached.total, reached.shown, "  ".join(shown))

    def polled(self, *, ended: bool = False) -> None:
        """Report the new lines of the running step's log without noise, if the display is verbose."""
        if self._log is not None:
            tail, cleaner = self._log
            for line in filter(None, map(cleaner.clean, tail.read(ended=ended))):
                self.say(escape_controls(line, keep="\t"))

    def ended(self, step: Step, seconds: float) -> None:
        """Report a finished step and its wall time."""
        self.hide()
        took = format_seconds(seconds)
        self._line(step, "[green]✓[/green]", took if self.live else f"done in {took}")

    def failed(self, step: Step, reason: str) -> None:
        """Report an optional step that failed; the run continues."""
        self.hide()
        if self._detail_level == "quiet":
            super().say(f"{self._head(step)}: warning: {reason}")
        else:
            self._line(step, "[yellow]![/yellow]", f"warning: {reason}")

    def _line(self, step: Step, mark: str, text: str, *, dim: bool = False) -> None:
        if not self.live:
            return self.say(f"{self._head(step)}: {text}")
        from rich.markup import escape

        name = f"[dim]{step.name}[/dim]" if dim else step.name
        return self.say(f"{mark} [dim]{self._number:>2}/{self._steps}[/dim] {name}  [dim]{escape(text)}[/dim]", markup=True)

    def _head(self, step: Step) -> str:
        return f"[{self._number}/{self._steps}] {step.name}"
