"""Tables and bars: for a person on a terminal, tab-separated lines and no bars anywhere else."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 50
"""Lines of a table that a terminal gets."""

_WIDE = ("reason", "result", "meaning")
"""Columns that get what room is left."""
_FOLDED = ("id", "what", "source", "expected", "file", *_WIDE)
"""Columns whose cells may take several lines."""
_HARMLESS = ("Zs",)
_COLOURS = {"WRONG": "[red]", "NOT CHECKED": "[yellow]", "note: ": "[yellow]"}

Step = Callable[..., None]
"""`step()` after each, or `step(done, total)`."""


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Step]:
    """A bar on a terminal's standard error; nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(what, total=total)

        def step(done: int | None = None, whole: int | None = None) -> None:
            if done is None:
                bars.advance(bar)
            else:
                bars.update(bar, completed=done, total=whole)

        yield step


def say(text: str) -> None:
    """A line for the person: on standard error where standard output goes to another program."""
    print(escape_controls(text), file=sys.stdout if sys.stdout.isatty() else sys.stderr)


def print_rows(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Prints a table, on a terminal its first lines; nothing where there is none."""
    if not lines:
        return
    if not sys.stdout.isatty():
        for line in (header, *lines):
            print_line(*line)
        return
    print_table(header, lines[:SHOWN])
    if len(lines) > SHOWN:
        print(f"… and {len(lines) - SHOWN:,} more")


def print_line(*cells: str) -> None:
    """One line of a table for another program."""
    print("\t".join(escape_controls(" ".join(cell.split())) for cell in cells))


def print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table for a terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold", ratio=3 if name in _WIDE else None, no_wrap=name not in _FOLDED)
    for line in lines:
        table.add_row(*(f"{_colour(cell)}{escape(cell)}" for cell in line))
    make_console().print(table)


def _colour(cell: str) -> str:
    """Markup for a verdict that a person must not miss."""
    return next((colour for word, colour in _COLOURS.items() if cell.startswith(word)), "")


def make_console() -> Console:
    """Standard output, as rich writes on it."""
    from rich.console import Console

    return Console(highlight=False)


def escape(text: str) -> str:
    """The text as it stands in what rich takes for markup."""
    from rich.markup import escape as escape_markup

    return escape_markup(escape_controls(text, keep="\n"))


def escape_controls(text: str, keep: str = "") -> str:
    r"""The text without what steers a terminal or hides something: `\x1b` for an escape, `\u202e` for a turn of direction.

    Args:
        keep: characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in keep or unicodedata.category(each) in _HARMLESS
        else each.encode("unicode_escape").decode()
        for each in text
    )
