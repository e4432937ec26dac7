"""Nested settings: dotted keys unfolded, one mapping laid over another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.errors import InputError

Settings = dict[str, Any]


def unfold(keys: Mapping[str, Any]) -> Settings:
    """`{"a.b": 1, "a": {"c": 2}}` as `{"a": {"b": 1, "c": 2}}`, at every depth.

    Raises:
        InputError: one key is said to be both a value and a group.
    """
    result: Settings = {}
    for path, value in _leaves(keys):
        *groups, last = path
        place = result
        for depth, group in enumerate(groups, start=1):
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise InputError(f"{'.'.join(groups[:depth])} is given a value and keys below it")
        if isinstance(place.get(last), dict) and place[last] and value != {}:
            raise InputError(f"{'.'.join(path)} is given a value and keys below it")
        if value != {} or last not in place:
            place[last] = value
    return result


def lay_over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> Settings:
    """`lower` with the values of `upper` in it; groups are merged, empty ones too, all else is replaced."""
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = lay_over(below, value) if both else value  # type: ignore[arg-type]
    return result


def look_up(settings: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """The value at a dotted path."""
    place: Any = settings
    for key in path.split("."):
        if not isinstance(place, Mapping) or key not in place:
            return default
        place = place[key]
    return place


def _leaves(keys: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in keys.items():
        path = (*above, *str(key).split("."))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, path)
        else:
            yield path, value
