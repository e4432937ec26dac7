"""Tables on a terminal, tab-separated lines elsewhere."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 50
"""Lines of a table that are printed on a terminal."""

_WIDE = ("reason", "result", "meaning")
"""Columns that take the remaining width."""
_FOLDED = ("id", "what", "set", "model", "source", "expected", "file", "versions", "path", *_WIDE)
"""Columns whose cells may take several lines."""
_COLOURS = {"WRONG": "[red]", "NOT CHECKED": "[yellow]", "note: ": "[yellow]"}
"""Beginning of a cell that reports a problem -> markup."""


def say(text: str) -> None:
    """Print a line for the user: on standard error if standard output is piped."""
    print(escape_controls(text), file=sys.stdout if sys.stdout.isatty() else sys.stderr)


def print_rows(header: Sequence[str], lines: Sequence[Sequence[str]], more: str = "") -> None:
    """Print a table, on a terminal its first lines; nothing if it is empty.

    Args:
        more: the end of the line that counts the lines not printed.
    """
    if not lines:
        return
    if not sys.stdout.isatty():
        for line in (header, *lines):
            print("\t".join(escape_controls(" ".join(cell.split())) for cell in line))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold", ratio=3 if name in _WIDE else None, no_wrap=name not in _FOLDED)
    for line in lines[:_SHOWN]:
        colours = (next((colour for word, colour in _COLOURS.items() if cell.startswith(word)), "") for cell in line)
        table.add_row(*(f"{colour}{_escape(cell)}" for colour, cell in zip(colours, line, strict=True)))
    make_console().print(table)
    if len(lines) > _SHOWN:
        print(f"… and {len(lines) - _SHOWN:,} more{more}")


def print_entries(header: Sequence[str], entries: Iterable[tuple[str, str, Mapping[str, str], str]]) -> None:
    """Print a table of things with options; on a terminal as paragraphs.

    Args:
        header: the names of the four columns.
        entries: name, kind, options and help of each thing.
    """
    if not sys.stdout.isatty():
        joined = (
            (name, kind, " ".join(f"{key}={options[key]}" for key in options), text) for name, kind, options, text in entries
        )
        print_rows(header, [*joined])
        return
    from rich.padding import Padding

    console = make_console()
    for name, kind, options, text in entries:
        console.print(f"[bold]{_escape(name)}[/bold]  [dim]{_escape(kind)}[/dim]")
        console.print(Padding(_escape(text), (0, 0, 0, 2)))
        if options:
            shown = "  ".join(f"{key}=[cyan]{_escape(value)}[/cyan]" for key, value in options.items())
            console.print(Padding(f"[dim]options[/dim] {shown}", (0, 0, 0, 2)))
        console.print()


def make_console() -> Console:
    """Return a rich console on standard output."""
    from rich.console import Console

    return Console(highlight=False)


def _escape(text: str) -> str:
    """Escape rich's markup and control characters."""
    from rich.markup import escape

    return escape(escape_controls(text, keep="\n"))


def escape_controls(text: str, keep: str = "") -> str:
    r"""Escape control and invisible characters, such as `\x1b` and `\u202e`.

    Args:
        keep: characters that are not escaped.
    """
    return "".join(
        char
        if char.isprintable() or char in keep or unicodedata.category(char) == "Zs"
        else char.encode("unicode_escape").decode()
        for char in text
    )
