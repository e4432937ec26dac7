"""Decode JSON text into a converter's record, with plain error messages."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from preprocess.errors import RowError
from rewards.suggestions import any_of, misspelling, suggestion
from rewards.wording import kind_of

_WRONG_TYPE = re.compile(r"^Expected `(?P<expected>.+?)`, got `(?P<found>.+?)`$")
_OUT_OF_BOUNDS = re.compile(r"^Expected `(?P<expected>\w+)` (?P<bounds>.+)$")
_MISSING_KEY = re.compile(r"^Object missing required field `(?P<name>.+)`$")
_UNKNOWN_KEY = re.compile(r"^Object contains unknown field `(?P<name>.+)`$")
_WRONG_VALUE = re.compile(r"^Invalid enum value (?P<found>.+)$")
_MALFORMED = re.compile(r"^JSON is malformed: ")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+|\.\.\.)\]")
"""A step of msgspec's path: a key, or `[0]` in a list, or `[...]` for any key of a mapping."""
_NAMES = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "array": "a list",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "Path": "a path",
}


class MissingColumnError(RowError):
    """A record lacks a column; in a source's first record that is a mistake in the recipe, not a bad row.

    `columns` are those of which it needs one, if the message does not yet name what was found instead.
    """

    def __init__(self, message: str, columns: Sequence[str] = ()) -> None:
        super().__init__(f"{message}: expected {any_of(columns)}" if columns else message)
        self.columns = tuple(columns)


def explain(text: bytes, kind: type[msgspec.Struct | dict[str, Any]], error: Exception) -> Any:
    """Decode a record that the fast decoder refused: Python's JSON also accepts NaN, which is harmless in unused columns.

    Raises:
        RowError: The record is invalid; the message has what was found and what was expected.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as failure:
        if isinstance(failure, UnicodeDecodeError):
            raise RowError(f"not UTF-8: byte {text[failure.start]:#04x} at {failure.start}") from error
        reason = "nested too deeply" if isinstance(failure, RecursionError) else failure
        raise RowError(f"not JSON: {reason}") from error
    if not isinstance(fields, dict):
        raise RowError(f"{kind_of(fields)}, expected an object")
    if not issubclass(kind, msgspec.Struct):
        return fields
    columns = msgspec.structs.fields(kind)
    for column in columns:
        if column.required and column.encode_name not in fields:
            raise MissingColumnError(explain_missing([column.encode_name], fields))
    kept = {column.encode_name: fields[column.encode_name] for column in columns if column.encode_name in fields}
    try:
        written = json.dumps(kept, allow_nan=False)
        return msgspec.json.decode(written, type=kind)
    except msgspec.MsgspecError as failure:
        raise RowError(describe_json(str(failure), written.encode(), kind, fields)) from error
    except ValueError as failure:  # NaN or Infinity in a used column
        raise RowError(f"not JSON: {failure}") from error


def explain_missing(columns: Sequence[str], fields: Mapping[str, Any]) -> str:
    """Return that a record has none of the columns, with the found one that may be meant, or the list that has them inside."""
    names = any_of(map(repr, columns))
    for key, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].keys() & set(columns):
            return f"no column {names}, but the items of {key!r} have it: write them as lines with `jq -c '.{key}[]'`"
    return f"no column {names}{misspelling(columns[0], fields)}"


def describe(message: str, kind: Any, fields: Any = None, whole: str = "the record") -> str:
    """Translate msgspec's message into plain words.

    Args:
        fields: The decoded value, if there is one.
        whole: The name of the value.
    """
    if "surrogate" in message:
        return "not UTF-8 text: half of a surrogate pair"
    if message.startswith(("JSON is malformed", "Input data was truncated")):
        reason = _MALFORMED.sub("", message)
        return f"not JSON: {reason[:1].lower()}{reason[1:]}"
    message, _, path = message.partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    place = path or whole
    if found := _WRONG_TYPE.match(message):
        return f"{place} is {_describe_types(found['found'], found['expected'].split(' | '))}"
    if found := _OUT_OF_BOUNDS.match(message):
        value, expected = _get_path(fields, path), _NAMES.get(found["expected"], found["expected"])
        return f"{place}{'' if value is None else f' is {value!r}'[:80]}, expected {expected} {found['bounds']}"
    if found := _WRONG_VALUE.match(message):
        choices = [choice for each in _find_types(kind, path) if get_origin(each) is Literal for choice in get_args(each)]
        return f"{place} is {found['found']}" + (f", expected {' or '.join(map(str, choices))}" if choices else "")
    if found := _UNKNOWN_KEY.match(message):
        structs = [each for each in _find_types(kind, path) if _is_struct(each)]
        known = [field.encode_name for each in structs for field in msgspec.structs.fields(each)]
        return f"{f'{path}: ' if path else ''}unknown {found['name']!r}{suggestion(found['name'], known)}"
    if found := _MISSING_KEY.match(message):
        keys = _get_path(fields, path)
        return f"{place} has no {found['name']!r}{misspelling(found['name'], keys) if isinstance(keys, dict) else ''}"
    return f"{place}: {message[:1].lower()}{message[1:]}"


def describe_json(message: str, text: bytes, kind: Any = None, fields: Any = None) -> str:
    """Translate msgspec's message about JSON text, as `describe`."""
    # At the end of the text, it calls half of a surrogate pair truncated.
    is_half = message.startswith("Input data was truncated") and b"\\ud" in text[-16:].lower()
    return describe("surrogate" if is_half else message, kind, fields)


def _describe_types(found: str, expected: list[str]) -> str:
    names = _NAMES
    if found == "float" and "int" in expected and "float" not in expected:
        names = _NAMES | {"float": "a number with a point", "int": "a whole number"}
    return f"{names.get(found, found)}, expected {' or '.join(names.get(each, each) for each in expected)}"


def _get_path(fields: Any, path: str) -> Any:
    """Return the value at msgspec's path `a.b[0]`; None if it cannot be found."""
    for key, index in _STEP.findall(path):
        try:
            fields = fields[int(index) if index else key]
        except (LookupError, TypeError, ValueError):
            return None
    return fields


def _find_types(kind: Any, path: str) -> list[Any]:
    """Return the valid types at msgspec's path."""
    found = _union_members(kind)
    for key, _ in _STEP.findall(path):
        if key:
            fields = [field for each in found if _is_struct(each) for field in msgspec.structs.fields(each)]
            inner = [field.type for field in fields if field.encode_name == key]
        else:
            inner = [argument for each in found for argument in get_args(each)]
        found = [each for type_ in inner for each in _union_members(type_)]
    return found


def _union_members(kind: Any) -> list[Any]:
    """Return the types of a union; any other type alone."""
    if get_origin(kind) is Annotated:
        return _union_members(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [each for argument in get_args(kind) for each in _union_members(argument)]
    return [kind]


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
