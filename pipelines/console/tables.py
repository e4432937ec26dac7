"""Tables on a terminal, as lists where it is too narrow for them; tab-separated lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 50
"""Lines of a table that are printed on a terminal."""

_WIDEST = 120
"""Columns of running text, on wider terminals too."""

_READABLE = 28
"""Columns that a cell of text needs; a table with less becomes a list."""

_WIDE = ("reason", "result", "meaning", "description", "what it does", "data")
"""Columns that take the remaining width."""
_FOLDED = ("id", "what", "set", "model", "source", "expected", "file", "versions", "path", "state", *_WIDE)
"""Columns whose cells may take several lines."""
_COLOURS = {
    "WRONG": "[red]",
    "NOT CHECKED": "[yellow]",
    "note: ": "[yellow]",
    "failed": "[red]",
    "interrupted": "[yellow]",
    "running": "[green]",
}
"""Beginning of a cell that reports a problem -> markup."""


def say(text: str) -> None:
    """Print a line for the user: on standard error if standard output is piped."""
    print(escape_controls(text), file=sys.stdout if sys.stdout.isatty() else sys.stderr)


def text_width() -> int:
    """Return the columns for running text: those of the terminal, at most 120."""
    return min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)


def print_rows(
    header: Sequence[str],
    lines: Sequence[Sequence[str]],
    more: str = "",
    *,
    drop: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print a table, on a terminal its first lines; nothing if it is empty.

    Args:
        more: the end of the line that counts the lines not printed.
        drop: columns to leave out if they are empty, or if the table does not fit the terminal, the first one first.
        console: where to print, a terminal; default: standard output.
    """
    if not lines:
        return
    if console is None and not sys.stdout.isatty():
        for line in (header, *lines):
            print("\t".join(escape_controls(" ".join(cell.split())) for cell in line))
        return
    console, shown = console or make_console(), lines[:_SHOWN]
    columns = [place for place, name in enumerate(header) if name not in drop or any(line[place] for line in shown)]
    for name in ("", *drop):
        columns = [place for place in columns if header[place] != name]
        names, cells = [header[place] for place in columns], [[line[place] for place in columns] for line in shown]
        if _is_readable(names, cells, console.width):
            _print_table(console, names, cells)
            break
    else:
        _print_list(console, header, shown)
    if len(lines) > _SHOWN:
        console.print(f"… and {len(lines) - _SHOWN:,} more{more}", markup=False)


def _is_readable(header: Sequence[str], lines: Sequence[Sequence[str]], columns: int) -> bool:
    """Return whether a table fits the terminal: no cell is cut, and those of text have room for several words."""
    widths = [
        max(len(name), *(len(part) for line in lines for part in line[place].split("\n"))) for place, name in enumerate(header)
    ]
    needed = [min(width, _READABLE) if name in _FOLDED else width for name, width in zip(header, widths, strict=True)]
    return sum(needed) + 2 * (len(header) - 1) <= columns


def _print_table(console: Console, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold", ratio=3 if name in _WIDE else None, no_wrap=name not in _FOLDED)
    for line in lines:
        table.add_row(*(f"{_colour(cell)}{_escape(cell)}" for cell in line))
    console.print(table)


def _print_list(console: Console, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print each line of a table as a paragraph: its first cell with the short ones, then those of text."""
    for line in lines:
        pairs = [(name, cell) for name, cell in zip(header[1:], line[1:], strict=True) if cell]
        short = ", ".join(f"{name} {cell}" for name, cell in pairs if name not in _FOLDED)
        texts = [(name, cell) for name, cell in pairs if name in _FOLDED]
        fits = len(f"{line[0]}  {short}") <= console.width
        beside = f"  [dim]{_escape(short)}[/dim]" if short and fits else ""
        if line[0] or beside:
            console.print(f"[bold]{_escape(line[0])}[/bold]{beside}", soft_wrap=True)
        if not fits:
            console.print(
                f"[dim]{_escape(textwrap.fill(short, console.width, initial_indent='  ', subsequent_indent='  '))}[/dim]"
            )
        if len(texts) == 1 and texts[0][0] in _WIDE:
            texts = [("", texts[0][1])]  # running text needs no name
        for text in field_lines(texts, console.width, indent=2 if texts and texts[-1][0] else 0):
            console.print(f"{_colour(text.split('  ')[-1].lstrip())}{_escape(text)}", soft_wrap=True)


def field_lines(fields: Sequence[tuple[str, str]], width: int | None = None, *, indent: int = 0) -> Iterator[str]:
    """Yield names and texts as two aligned columns, each text wrapped in its own.

    Args:
        fields: Pairs of name and text.
        width: Columns; default: those for running text.
        indent: Spaces before each line.
    """
    left = max((len(name) for name, _ in fields), default=0) + 2
    for name, text in fields:
        first = " " * indent + name.ljust(left)
        rest = " " * len(first)
        yield from textwrap.wrap(
            text,
            max(width or text_width(), len(first) + _READABLE),
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first.rstrip()]


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
    """Return a rich console on standard output; it prints no colours if NO_COLOR is set."""
    from rich.console import Console

    return Console(highlight=False)


def _colour(cell: str) -> str:
    return next((colour for word, colour in _COLOURS.items() if cell.startswith(word)), "")


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
