"""What a person sees of a run: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from pipelines.run.plan import Step
from pipelines.trainers.base import Progress

_PLAIN_SECONDS = 15.0


class Display(Protocol):
    """What the run tells."""

    def say(self, text: str) -> None:
        """One line of its own."""

    def skipped(self, step: Step) -> None:
        """The step had nothing to do."""

    def started(self, step: Step, why: str) -> None:
        """The step begins."""

    def progressed(self, step: Step, progress: Progress) -> None:
        """The step moved on."""

    def ended(self, step: Step, seconds: float) -> None:
        """The step is done."""

    def close(self) -> None:
        """Nothing more will be told."""


def make_display(steps: int, stream: TextIO | None = None) -> Display:
    """The display that fits the stream, standard output if not said."""
    stream = stream or sys.stdout
    return TerminalDisplay(steps, stream) if stream.isatty() else PlainDisplay(steps, stream)


class TimeLeft:
    """Seconds left, from the pace since training was first seen to move."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] | None = None

    def estimate(self, progress: Progress) -> float | None:
        """None until two different steps have been seen."""
        here = (self._now(), progress.step)
        self._first = self._first or here
        if self._last is None or self._last[1] != progress.step:
            self._last = here
        steps = self._last[1] - self._first[1]
        if progress.total is None or steps <= 0:
            return None
        pace = (self._last[0] - self._first[0]) / steps
        return max(0.0, pace * (progress.total - progress.step) - (here[0] - self._last[0]))


def format_seconds(seconds: float) -> str:
    """1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def format_metrics(progress: Progress) -> str:
    """`loss 0.412  lr 0.001`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in progress.metrics.items())


class PlainDisplay:
    """Lines that read well in a file: one when a step begins, some as it moves, one when it ends."""

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        self._steps = steps
        self._stream = stream
        self._number = 0
        self._left = TimeLeft()
        self._shown: tuple[float, int] = (0.0, -1)

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def skipped(self, step: Step) -> None:
        self._number += 1
        self.say(f"{self._head(step)}: done before")

    def started(self, step: Step, why: str) -> None:
        self._number += 1
        self._left, self._shown = TimeLeft(), (0.0, -1)
        self.say(f"{self._head(step)}: {step.title} ({why})")

    def progressed(self, step: Step, progress: Progress) -> None:
        left = self._left.estimate(progress)
        now = time.monotonic()
        if progress.step == self._shown[1] or now - self._shown[0] < _PLAIN_SECONDS:
            return
        self._shown = (now, progress.step)
        total = f"/{progress.total}" if progress.total else ""
        ending = f"  {format_seconds(left)} left" if left is not None else ""
        shown = progress.shown or f"step {progress.step}{total}  {format_metrics(progress)}"
        self.say(f"{self._head(step)}: {shown}{ending}")

    def ended(self, step: Step, seconds: float) -> None:
        self.say(f"{self._head(step)}: done in {format_seconds(seconds)}")

    def close(self) -> None:
        return

    def _head(self, step: Step) -> str:
        return f"[{self._number}/{self._steps}] {step.name}"


class TerminalDisplay:
    """A line per finished step and, under them, a bar for the one that runs."""

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._console = Console(file=stream, highlight=False)
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]}"),
            TextColumn("[cyan]{task.fields[metrics]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[left]}"),
            console=self._console,
            transient=True,
        )
        self._bars.start()
        self._bar = self._bars.add_task("", total=None, count="", metrics="", left="")
        self._steps = steps
        self._number = 0
        self._left = TimeLeft()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def skipped(self, step: Step) -> None:
        self._number += 1
        self._line("[dim]-[/dim]", f"[dim]{step.name}  done before[/dim]")

    def started(self, step: Step, why: str) -> None:
        self._number += 1
        self._left = TimeLeft()
        self._bars.reset(
            self._bar, description=f"{self._number}/{self._steps} {step.name}", total=None, count="", metrics="", left=""
        )
        if why not in ("not done yet", "asked for anew"):
            self._line("[yellow]*[/yellow]", f"{step.name}  [dim]{_escape(why)}[/dim]")

    def progressed(self, step: Step, progress: Progress) -> None:
        left = self._left.estimate(progress)
        first = dict(list(progress.metrics.items())[: 1 if self._console.width < 100 else 3])
        self._bars.update(
            self._bar,
            completed=progress.step,
            total=progress.total,
            count=progress.shown or f"{progress.step}/{progress.total or '?'}",
            metrics=format_metrics(Progress(progress.step, progress.total, first)),
            left=f"{format_seconds(left)} left" if left is not None else "",
        )

    def ended(self, step: Step, seconds: float) -> None:
        self._line("[green]✓[/green]", f"{step.name}  [dim]{format_seconds(seconds)}[/dim]")

    def close(self) -> None:
        self._bars.stop()

    def _line(self, mark: str, text: str) -> None:
        self._console.print(f"{mark} [dim]{self._number:>2}/{self._steps}[/dim] {text}", soft_wrap=True)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
