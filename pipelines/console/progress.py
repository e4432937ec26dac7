"""Progress of long work: a live bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pipelines.console.screen import Screen

PLAIN_SECONDS = 15.0
"""Least time between two plain lines of one task: enough to see that it moves, few enough for a log."""


class Progress:
    """Report one task at a time on a stream.

    On a terminal the running task is a bar, which is removed when the task ends. Elsewhere the task prints a line at most
    every 15 s, on updates or, with a heartbeat, by itself. Several threads may report, each with a progress of its own.

    Args:
        stream: where to report.
        estimate: show the time left; False for tasks whose units take unequal time.
        heartbeat: seconds between lines that a task prints without updates, for tasks that may be silent.
        beside: another progress; if both are on a terminal, the bar is below that one's.
    """

    def __init__(
        self, stream: TextIO, *, estimate: bool = True, heartbeat: float | None = None, beside: Progress | None = None
    ) -> None:
        self._stream = stream
        self.live = stream.isatty()
        self._title = self._detail = ""
        self._started = 0.0
        self._estimate = estimate
        self._left = TimeLeft()
        self._shown: tuple[float, float] = (0.0, -1.0)
        self._closed = threading.Event()
        self._screen: Screen | None = None
        self._owns_screen = False
        if self.live:
            from pipelines.console.screen import Screen

            self._owns_screen = beside is None or beside._screen is None
            self._screen = Screen(stream) if beside is None or beside._screen is None else beside._screen
            self._bar = self._screen.add()
        elif heartbeat is not None:
            threading.Thread(target=self._beat, args=(heartbeat,), daemon=True).start()

    @property
    def width(self) -> int:
        """Columns of the terminal; a large number elsewhere."""
        return self._screen.width if self._screen else sys.maxsize

    def say(self, text: str, *, markup: bool = False) -> None:
        """Print a line of its own.

        Args:
            markup: the text has rich's markup, for a terminal.
        """
        if self._screen:
            self._screen.say(text, markup=markup)
        else:
            # In one write, so that the lines of several threads are not mixed.
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def start(self, title: str) -> None:
        """Start a task."""
        self._title, self._detail, self._started = title, "", time.monotonic()
        self._left, self._shown = TimeLeft(), (0.0, -1.0)
        if self._screen:
            self._screen.show(self._bar, title)

    def update(self, done: float | None = None, total: float | None = None, count: str = "", detail: str = "") -> None:
        """Report how far the task is.

        Args:
            done: units done, out of `total`; None: unknown.
            count: the same in words; default: `done/total`.
            detail: anything else, such as metrics.
        """
        self._detail = detail
        left = self._left.estimate(done, total) if done is not None and self._estimate else None
        ending = f"{format_seconds(left)} left" if left is not None else ""
        if self._screen:
            if done is not None:
                count = count or f"{done:,.0f}/{f'{total:,.0f}' if total else '?'}"
            self._screen.update(self._bar, completed=done, total=total, count=count, detail=detail, left=ending)
        elif done is not None and done != self._shown[1] and time.monotonic() - self._shown[0] >= PLAIN_SECONDS:
            self._shown = (time.monotonic(), done)
            parts = [count or f"step {done:.0f}{f'/{total:.0f}' if total else ''}", detail, ending]
            self.say(f"{self._title}: {'  '.join(filter(None, parts))}")

    def elapsed(self) -> float:
        """Return the seconds since the task started."""
        return time.monotonic() - self._started

    def hide(self) -> None:
        """Remove the bar of a task that has ended."""
        self._title = ""
        if self._screen:
            self._screen.hide(self._bar)

    def close(self) -> None:
        """Remove the bar and end the heartbeat."""
        self._closed.set()
        self.hide()
        if self._screen and self._owns_screen:
            self._screen.close()

    def _beat(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            if self._title and self.elapsed() >= seconds:
                detail = f"{self._detail}, " if self._detail else ""
                self.say(f"{self._title}: {detail}{self.elapsed():.0f} s so far")


class TimeLeft:
    """Estimate the seconds left from the pace since the first update."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._first: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None

    def estimate(self, done: float, total: float | None) -> float | None:
        """Return the seconds left; None until two different positions were seen."""
        here = (self._now(), done)
        self._first = self._first or here
        if self._last is None or self._last[1] != done:
            self._last = here
        steps = self._last[1] - self._first[1]
        if total is None or steps <= 0:
            return None
        pace = (self._last[0] - self._first[0]) / steps
        return max(0.0, pace * (total - done) - (here[0] - self._last[0]))


Step = Callable[..., None]
"""`step()` after each unit, or `step(done, total, count)`."""


@contextmanager
def bar(title: str, total: float | None = None) -> Iterator[Step]:
    """Show a bar on a terminal's standard error, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    progress, done = Progress(sys.stderr), 0
    progress.start(title)
    progress.update(0, total)

    def step(now: int | None = None, whole: int | None = None, count: str = "") -> None:
        nonlocal done
        done = done + 1 if now is None else now
        progress.update(done, whole or total, count)

    try:
        yield step
    finally:
        progress.close()


def format_seconds(seconds: float) -> str:
    """Return 1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
