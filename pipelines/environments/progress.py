"""What a person sees while an environment is built: a moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

_PLAIN_SECONDS = 15.0
"""Between plain lines while one phase lasts: enough to see that it moves, few enough for a log."""

_SHOWN_AT_ONCE = 3


class Progress(Protocol):
    """Whoever is told how far the building is."""

    def phase(self, text: str) -> None:
        """A new phase begins, e.g. `verl cpu: installing 199 packages`."""
        ...

    def detail(self, text: str) -> None:
        """Where in the phase it is; may come many times a second."""
        ...


class PlainProgress:
    """One line per phase, and every quarter of a minute one that says where in it."""

    def __init__(self) -> None:
        self._phase = self._detail = ""
        self._began = 0.0
        self._over = threading.Event()

    def phase(self, text: str) -> None:
        self._phase, self._detail, self._began = text, "", time.monotonic()
        print(text, file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        self._detail = text

    def beat(self, seconds: float = _PLAIN_SECONDS) -> None:
        """Says where it is from time to time, until `close`; runs in a thread of its own."""
        while not self._over.wait(seconds):
            elapsed = time.monotonic() - self._began
            if self._phase and elapsed >= seconds:
                detail = f"{self._detail}, " if self._detail else ""
                print(f"{self._phase}: {detail}{elapsed:.0f} s so far", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends `beat`."""
        self._over.set()


class TerminalProgress:
    """The phase that runs as a moving line; phases that are over stay as lines above it, with their seconds."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._phase = ""
        self._began = 0.0

    def phase(self, text: str) -> None:
        self.close()
        self._phase, self._began = text, time.monotonic()
        self.detail("")

    def detail(self, text: str) -> None:
        from rich.text import Text

        # A Text, because what is said may hold brackets, which rich would take for its own.
        self._status.update(Text.assemble(self._phase, " ", (text, "dim")))

    def close(self) -> None:
        """Leaves the last phase as a line."""
        seconds = time.monotonic() - self._began
        if self._phase:
            took = f" ({seconds:.0f} s)" if seconds >= 1 else ""
            self._console.print(self._phase + took, highlight=False, markup=False)
        self._phase = ""


class Downloads:
    """What uv says it is fetching, told briefly."""

    def __init__(self) -> None:
        self._running: dict[str, str] = {}
        self._done = 0

    def describe(self, line: str) -> str | None:
        """What a line of uv's output tells a person; None when nothing."""
        if begun := re.match(r"\s*Downloading (\S+) \((.+)\)", line):
            self._running[begun[1]] = f"{begun[1]} ({begun[2]})"
        elif (ended := re.match(r"\s*Downloaded (\S+)", line)) and self._running.pop(ended[1], None):
            self._done += 1
        else:
            known = re.match(r"\s*(Resolved|Prepared|Installed|Building|Built)\b", line)
            return line.strip() if known else None
        waiting = list(self._running.values())
        more = f" and {len(waiting) - _SHOWN_AT_ONCE} more" if len(waiting) > _SHOWN_AT_ONCE else ""
        fetching = f"fetching {', '.join(waiting[:_SHOWN_AT_ONCE])}{more}" if waiting else ""
        fetched = f"{self._done} large ones fetched" if self._done else ""
        return "; ".join(filter(None, [fetching, fetched]))


@contextmanager
def shown() -> Iterator[Progress]:
    """Progress on standard error, in the form that suits it."""
    if not sys.stderr.isatty():
        plain = PlainProgress()
        threading.Thread(target=plain.beat, daemon=True).start()
        try:
            yield plain
        finally:
            plain.close()
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("") as status:
        terminal = TerminalProgress(console, status)
        yield terminal
        terminal.close()
