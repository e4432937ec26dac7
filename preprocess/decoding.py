"""JSON text into a converter's record, or the reason why not, as a person would say it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from preprocess.errors import RowError

_WRONG_TYPE = re.compile(r"^Expected `(?P<expected>.+?)`, got `(?P<found>.+?)`$")
_MISSING_KEY = re.compile(r"^Object missing required field `(?P<name>.+)`$")
_WRONG_VALUE = re.compile(r"^Invalid enum value (?P<found>.+)$")
_NAMES = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "array": "a list",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
}


class MissingColumnError(RowError):
    """A record lacks a column; in a source's first record that is a mistake in the recipe, not a bad row."""


def explain(text: bytes, kind: type[msgspec.Struct | dict[str, Any]], error: Exception) -> Any:
    """Reads once more what the fast decoder refused: Python's JSON also knows NaN, say, in columns that nobody reads.

    Raises:
        RowError: it is no such record; the message says what was found and what was expected.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as failure:
        if isinstance(failure, UnicodeDecodeError):
            raise RowError(f"not UTF-8: byte {text[failure.start]:#04x} at {failure.start}") from error
        raise RowError(f"not JSON: {failure}") from error
    if not isinstance(fields, dict):
        raise RowError(f"a {type(fields).__name__}, expected an object")
    if not issubclass(kind, msgspec.Struct):
        return fields
    columns = msgspec.structs.fields(kind)
    for column in columns:
        if column.required and column.encode_name not in fields:
            raise MissingColumnError(f"no column {column.encode_name!r}{nearest(column.encode_name, fields)}")
    kept = {column.encode_name: fields[column.encode_name] for column in columns if column.encode_name in fields}
    try:
        return msgspec.json.decode(json.dumps(kept, allow_nan=False), type=kind)
    except msgspec.MsgspecError as failure:
        raise RowError(describe(str(failure), kind, fields)) from error
    except ValueError as failure:  # NaN or Infinity in a column that is read
        raise RowError(f"not JSON: {failure}") from error


def describe(message: str, kind: type[msgspec.Struct], fields: Any = None) -> str:
    """msgspec's message in this project's words; `fields` is what it is about, if that was read."""
    if "surrogate" in message:
        return "not UTF-8 text: half of a surrogate pair"
    if message.startswith(("JSON is malformed", "Input data was truncated")):
        return f"not JSON: {message[:1].lower()}{message[1:]}"
    message, _, path = message.partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    place = path or "the record"
    if found := _WRONG_TYPE.match(message):
        expected = " or ".join(_NAMES.get(each.strip(), each.strip()) for each in found["expected"].split("|"))
        return f"{place} is {_NAMES.get(found['found'], found['found'])}, expected {expected}"
    if found := _WRONG_VALUE.match(message):
        choices = next((get_args(each.type) for each in msgspec.structs.fields(kind) if each.encode_name == place), ())
        return f"{place} is {found['found']}" + (f", expected {' or '.join(map(str, choices))}" if choices else "")
    if found := _MISSING_KEY.match(message):
        there = _look_up(fields, path)
        return f"{place} has no {found['name']!r}{nearest(found['name'], there) if isinstance(there, dict) else ''}"
    return f"{place}: {message[:1].lower()}{message[1:]}"


def _look_up(fields: Any, place: str) -> Any:
    """What stands at msgspec's path `a.b[0]`; None where a name is no plain one."""
    for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", place):
        try:
            fields = fields[int(index) if index else key]
        except (LookupError, TypeError):
            return None
    return fields


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names) or 'none'}"


def as_text(fields: Any) -> bytes:
    """A record that was no JSON before, as JSON text."""
    return msgspec.json.encode(fields)
