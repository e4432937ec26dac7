"""Progress of a build, phase by phase, and the downloads that uv reports."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.console.progress import PLAIN_SECONDS, Progress

_MAX_NAMES = 3


class Phases(Progress):
    """Report phases: on a terminal the running one is a live line and finished ones stay above it, else a line each."""

    def start(self, title: str) -> None:
        """Start a phase, e.g. `verl cpu: installing 199 packages`."""
        if self.live:
            self.finish()
        else:
            self.say(title)
        super().start(title)

    def finish(self) -> None:
        """Leave the last phase on the terminal, with its duration."""
        if self.live and self._title:
            self.say(self._title + (f" ({self.elapsed():.0f} s)" if self.elapsed() >= 1 else ""))


@contextmanager
def show_phases() -> Iterator[Phases]:
    """Report phases on standard error; outside a terminal with a line every 15 s during a long one."""
    phases = Phases(sys.stderr, show_bar=False, heartbeat=PLAIN_SECONDS)
    try:
        yield phases
        phases.finish()
    finally:
        phases.close()


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
