"""Lines and, below them, bars on a terminal; several threads may write."""

from __future__ import annotations

import threading
from typing import Any, TextIO

_SECONDS = 0.25
"""Between two drawings: each takes 1 to 2 ms of CPU time, of the cores on which the trainer may train."""


class Screen:
    """A terminal.

    rich draws from a thread of its own, and a line that another thread prints between two of its steps may be erased when the
    number of bars changes. So all drawing is done here, under one lock.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars
        from rich.table import Column
        from rich.text import Text

        class Detail(TextColumn):
            """The column that is shortened if a line is too long: of those that may wrap, and this text does not."""

            def render(self, task: Task) -> Text:
                text = super().render(task)
                text.no_wrap, text.overflow = True, "ellipsis"
                return text

        columns = [
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]}", markup=False),
            Detail("{task.fields[detail]}", style="cyan", markup=False, table_column=Column()),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", style="dim", markup=False),
        ]
        self._console: Any = Console(file=stream, highlight=False)
        self._bars: Any = Bars(*columns, console=self._console, transient=True, auto_refresh=False)
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return int(self._console.width)

    def say(self, text: str, *, markup: bool = False) -> None:
        """Print a line above the bars."""
        with self._lock:
            self._console.print(text, markup=markup, soft_wrap=True)

    def add(self) -> int:
        """Add a bar, which is not shown yet; return its number."""
        return int(self._bars.add_task("", visible=False, total=None, count="", detail="", left=""))

    def show(self, bar: int, title: str) -> None:
        """Show a bar from its beginning."""
        with self._lock:
            self._bars.reset(bar, description=title, visible=True, total=None, count="", detail="", left="")
            if self._thread is None and not self._closed.is_set():
                self._bars.start()
                self._thread = threading.Thread(target=self._draw, daemon=True)
                self._thread.start()

    def update(self, bar: int, **fields: Any) -> None:
        """Change what a bar shows: `completed`, `total`, `count`, `detail`, `left`."""
        with self._lock:
            self._bars.update(bar, **fields)

    def hide(self, bar: int) -> None:
        """Remove a bar, after its end was drawn."""
        with self._lock:
            if self._thread is not None:
                self._bars.refresh()
            self._bars.update(bar, visible=False)

    def close(self) -> None:
        """Remove all bars."""
        self._closed.set()
        with self._lock:
            self._bars.stop()

    def _draw(self) -> None:
        while not self._closed.wait(_SECONDS):
            with self._lock:
                if not self._closed.is_set():
                    self._bars.refresh()
