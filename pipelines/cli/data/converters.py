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
from preprocess.converters.options import OptionDoc, explain_options
from preprocess.converters.plugins import load_file

_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    dict: "mapping",
    None: "null",
    NoneType: "null",
}
_COLUMNS = ("name", "shapes", "options", "help")


def print_converters(file: Path | None) -> None:
    """Print the converters that ship with this project, or those of a file."""
    with one_line_errors():
        found = (converters.CONVERTERS if file is None else load_file(file)).values()
    options = [{each.name: _show_default(each) for each in explain_options(converter.options)} for converter in found]
    shown = zip(found, options, strict=True)
    tables.print_entries(_COLUMNS, [(each.name, " ".join(each.shapes), defaults, each.help) for each, defaults in shown])


def print_converter(name: str, file: Path | None) -> None:
    """Print one converter with its options."""
    with one_line_errors():
        found = converters.find(name, file)
    options = [(each.name, _show_default(each), show_type(each.kind), each.meaning) for each in explain_options(found.options)]
    if sys.stdout.isatty():
        tables.print_entries(_COLUMNS, [(found.name, " ".join(found.shapes), {}, found.help)])
        tables.print_entries(_COLUMNS, [(f"{key}={default}", kind, {}, text) for key, default, kind, text in options])
    else:
        tables.print_rows(("option", "default", "type", "meaning"), options)


def _show_default(option: OptionDoc) -> str:
    return "(required)" if option.needed else json.dumps(option.default, default=str)


def show_type(annotation: Any) -> str:
    """Return a type in words: `whole number or null`, `list of "Easy" or "Hard"`."""
    arguments = [each for each in get_args(annotation) if each is not ...]
    if get_origin(annotation) is Annotated:
        return show_type(arguments[0])
    if get_origin(annotation) is Literal:
        return " or ".join(map(json.dumps, arguments))
    if get_origin(annotation) in (list, tuple, set, frozenset):
        return f"list of {' or '.join(map(show_type, arguments))}"
    if arguments and get_origin(annotation) is not dict:
        return " or ".join(map(show_type, arguments))
    return _WORDS.get(annotation) or inspect.formatannotation(annotation)
