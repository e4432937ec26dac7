"""Tables on a terminal, tab-separated lines elsewhere."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 50
"""Lines of a table that are printed on a terminal."""

_WIDE = ("reason", "result", "meaning")
"""Columns that take the remaining width."""
_FOLDED = ("id", "what", "source", "expected", "file", "versions", "path", *_WIDE)
"""Columns whose cells may take several lines."""
_HARMLESS = ("Zs",)
_COLOURS = {"WRONG": "[red]", "NOT CHECKED": "[yellow]", "note: ": "[yellow]"}


def say(text: str) -> None:
    """Print a line for the user: on standard error if standard output is piped."""
    print(escape_controls(text), file=sys.stdout if sys.stdout.isatty() else sys.stderr)


def print_rows(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table, on a terminal its first lines; nothing if it is empty."""
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
    """Print one tab-separated line."""
    print("\t".join(escape_controls(" ".join(cell.split())) for cell in cells))


def print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold", ratio=3 if name in _WIDE else None, no_wrap=name not in _FOLDED)
    for line in lines:
        table.add_row(*(f"{_colour(cell)}{escape(cell)}" for cell in line))
    make_console().print(table)


def _colour(cell: str) -> str:
    """Return the markup of a cell that reports a problem."""
    return next((colour for word, colour in _COLOURS.items() if cell.startswith(word)), "")


def make_console() -> Console:
    """Return a rich console on standard output."""
    from rich.console import Console

    return Console(highlight=False)


def escape(text: str) -> str:
    """Escape rich's markup and control characters."""
    from rich.markup import escape as escape_markup

    return escape_markup(escape_controls(text, keep="\n"))


def escape_controls(text: str, keep: str = "") -> str:
    r"""Escape control and invisible characters, such as `\x1b` and `\u202e`.

    Args:
        keep: characters that are not escaped.
    """
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in keep or unicodedata.category(each) in _HARMLESS
        else each.encode("unicode_escape").decode()
        for each in text
    )
