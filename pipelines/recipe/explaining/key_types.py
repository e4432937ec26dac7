"""The type of a recipe's key in words."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from pipelines.recipe.schema_lookup import is_list, matching_types
from preprocess.config import PathRule

_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    NoneType: "null",
    dict: "a mapping",
    list: "a list",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclass(frozen=True)
class KeyType:
    """What values a key may have."""

    text: str
    """`a whole number or null`."""
    bounds: str = ""
    """`at least 1`; empty: none."""
    values: tuple[str, ...] = ()
    """All allowed values of a key that has a list of them."""


def describe_type(annotation: Any, metadata: tuple[Any, ...]) -> KeyType:
    """Return the type of a field."""
    words = []
    values: list[str] = []
    marks: list[Any] = []
    for kind, found in matching_types(annotation, metadata):
        marks += _flatten(found)
        if _is_choice(kind):
            values += map(str, get_args(kind))
        words.append(_describe(kind, found))
    text = " or ".join(sorted(dict.fromkeys(words), key="null".__eq__))
    bounds = {
        f"{word} {getattr(mark, name):g}": None for mark in marks for name, word in _BOUNDS.items() if hasattr(mark, name)
    }
    return KeyType(text, ", ".join(bounds), tuple(values))


def _describe(kind: Any, metadata: tuple[Any, ...]) -> str:
    rule = next((mark for mark in metadata if isinstance(mark, PathRule)), None)
    if rule is not None and rule.suffixes:
        return f"text or the path of a file ({', '.join(rule.suffixes)})"
    if rule is not None:
        return "a path or a hub name" if rule.hub else "a path"
    if _is_choice(kind):
        return "text"
    if is_list(kind):
        inner = " or ".join(dict.fromkeys(_describe(each, found) for each, found in matching_types(get_args(kind)[0])))
        return f"a list of {inner.replace('a path', 'paths').replace('a mapping', 'mappings')}"
    return _WORDS.get(get_origin(kind) or kind, "a mapping")


def _is_choice(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is Literal


def _flatten(metadata: tuple[Any, ...]) -> list[Any]:
    """Return the constraints, those of a `Field` inside the annotation included."""
    return [each for mark in metadata for each in (_flatten(tuple(mark.metadata)) if isinstance(mark, FieldInfo) else [mark])]
