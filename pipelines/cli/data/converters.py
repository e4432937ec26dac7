"""`pipeline data converters`."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pipelines.cli.data.convert import one_line_errors
from pipelines.console import tables
from preprocess import converters
from preprocess.converters.base import Converter
from preprocess.converters.options import OptionDoc, explain_options
from preprocess.converters.plugins import load_file


def print_converters(file: Path | None) -> None:
    """Print the converters that ship with this project, or those of a file."""
    with one_line_errors():
        found = (converters.CONVERTERS if file is None else load_file(file)).values()
    if not sys.stdout.isatty():
        tables.print_line("name", "shapes", "options", "help")
        for each in found:
            tables.print_line(each.name, " ".join(each.shapes), " ".join(_show_options(each)), each.help)
        return
    from rich.padding import Padding

    terminal = tables.make_console()
    for each in found:
        _print_head(each)
        if shown := _show_options(each):
            terminal.print(Padding("[dim]options[/dim] " + "  ".join(map(tables.escape, shown)), (0, 0, 0, 2)))
        terminal.print()


def print_converter(name: str, file: Path | None) -> None:
    """Print one converter with its options."""
    with one_line_errors():
        found = converters.find(name, file)
    options = explain_options(found.options)
    lines = [(option.name, _show_default(option), show_type(option.kind), option.meaning) for option in options]
    if not sys.stdout.isatty():
        tables.print_rows(("option", "default", "type", "meaning"), lines)
        return
    from rich.padding import Padding

    terminal = tables.make_console()
    _print_head(found)
    for key, default, kind, meaning in lines:
        terminal.print(Padding(tables.escape(f"{key}={default}  ") + f"[dim]{tables.escape(kind)}[/dim]", (0, 0, 0, 2)))
        terminal.print(Padding(tables.escape(meaning), (0, 0, 0, 4)))


def _print_head(converter: Converter[Any, Any]) -> None:
    from rich.padding import Padding

    terminal = tables.make_console()
    terminal.print(f"[bold]{tables.escape(converter.name)}[/bold]  [dim]{', '.join(converter.shapes)}[/dim]")
    terminal.print(Padding(tables.escape(converter.help), (0, 0, 0, 2)))


def _show_options(converter: Converter[Any, Any]) -> list[str]:
    return [f"{option.name}={_show_default(option)}" for option in explain_options(converter.options)]


def _show_default(option: OptionDoc) -> str:
    return "(required)" if option.needed else json.dumps(option.default, default=str)


def show_type(annotation: Any) -> str:
    """Return a type in words: `int or null`, `list of "Easy" or "Hard"`."""
    arguments = [each for each in get_args(annotation) if each is not ...]
    if get_origin(annotation) is Annotated:
        return show_type(arguments[0])
    if get_origin(annotation) is Literal:
        return " or ".join(map(json.dumps, arguments))
    if get_origin(annotation) in (list, tuple, set, frozenset):
        return f"list of {' or '.join(map(show_type, arguments))}"
    if arguments and get_origin(annotation) is not dict:
        return " or ".join(map(show_type, arguments))
    return "null" if annotation in (None, NoneType) else inspect.formatannotation(annotation)
