"""Progress of a build, phase by phase, and the downloads that uv reports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from pipelines.console.progress import PLAIN_SECONDS, Progress

if TYPE_CHECKING:
    from pipelines.environments.choice import Environment

_MAX_NAMES = 3


class Phases:
    """Report the phases of one build: on a terminal as one line that changes, else as a line each.

    Args:
        name: The environment: `verl cpu`.
        progress: Where to report.
    """

    def __init__(self, name: str, progress: Progress) -> None:
        self._name = name
        self._progress = progress
        self._number = 0
        self._total = 0
        self._phase = ""
        self._began = False

    def expect(self, count: int) -> None:
        """Set how many phases follow."""
        self._number, self._total = 0, count

    def start(self, phase: str) -> None:
        """Start a phase, e.g. `installing 199 packages`."""
        self._number, self._phase = self._number + 1, phase
        if not self._progress.live:
            self._progress.say(f"{self._name}: {phase}")
            self._progress.start(f"{self._name}: {phase}")
        elif not self._began:
            # The line has the time of the whole build.
            self._progress.start(self._name)
        self._began = True
        self.update()

    def update(self, detail: str = "") -> None:
        """Report what the phase does."""
        if not self._progress.live:
            self._progress.update(detail=detail)
            return
        done = min(self._number, self._total)
        count = f"{done}/{self._total}" if self._total else ""
        self._progress.update(done - 1 if done else None, self._total or None, count, detail or self._phase)

    def end(self, text: str, *, failed: bool = False) -> None:
        """Report the end of the build in a line that stays."""
        self._progress.hide()
        if self._progress.live:
            mark = "[red]✗[/red]" if failed else "[green]✓[/green]"
            self._progress.say(f"{mark} {self._name}  [dim]{text}[/dim]", markup=True)
        else:
            self._progress.say(f"{self._name}: {text}")


@contextmanager
def show_phases(environment: Environment, stream: TextIO, beside: Progress | None = None) -> Iterator[Phases]:
    """Report phases; outside a terminal with a line every 15 s during a long one.

    Args:
        environment: The environment that is built.
        stream: Where to report.
        beside: The progress to report next to, if both are on a terminal.
    """
    progress = Progress(stream, estimate=False, heartbeat=PLAIN_SECONDS, beside=beside)
    try:
        yield Phases(f"{environment.pin.trainer} {environment.platform}", progress)
    finally:
        progress.close()


class Downloads:
    """Summarize the downloads in uv's output."""

    def __init__(self) -> None:
        self._running: dict[str, str] = {}
        self._done = 0

    def describe(self, line: str) -> str | None:
        """Return a summary after one more line of output; None if the line does not change it."""
        if begun := re.match(r"\s*Downloading (\S+) \((.+)\)", line):
            self._running[begun[1]] = f"{begun[1]} ({begun[2]})"
        elif (ended := re.match(r"\s*Downloaded (\S+)", line)) and self._running.pop(ended[1], None):
            self._done += 1
        else:
            known = re.match(r"\s*(Resolved|Prepared|Installed|Building|Built)\b", line)
            return line.strip() if known else None
        names = list(self._running.values())
        more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        running = f"downloading {', '.join(names[:_MAX_NAMES])}{more}" if names else ""
        done = f"{self._done} large files done" if self._done else ""
        return "; ".join(filter(None, [running, done]))
