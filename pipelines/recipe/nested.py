"""Nested settings: unflatten dotted keys, merge mappings, read a value by its dotted path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.errors import InputError

Settings = dict[str, Any]


def unflatten(keys: Mapping[str, Any]) -> Settings:
    """Return `{"a.b": 1, "a": {"c": 2}}` as `{"a": {"b": 1, "c": 2}}`, at every depth."""
    result: Settings = {}
    for path, value in leaves(keys):
        *groups, last = path
        place = result
        for depth, group in enumerate(groups, start=1):
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise InputError(f"{'.'.join(groups[:depth])} has both a value and keys below it")
        if isinstance(place.get(last), dict) and place[last] and value != {}:
            raise InputError(f"{'.'.join(path)} has both a value and keys below it")
        if value != {} or last not in place:
            place[last] = value
    return result


def deep_merge(*layers: Mapping[str, Any]) -> Settings:
    """Merge mappings; later ones take precedence. Groups are merged, all other values replaced."""
    result: Settings = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            both = isinstance(below, Mapping) and isinstance(value, Mapping)
            result[key] = deep_merge(below, value) if both else value  # type: ignore[arg-type]
    return result


def get_path(settings: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """Return the value at a dotted path."""
    place: Any = settings
    for key in path.split("."):
        if not isinstance(place, Mapping) or key not in place:
            return default
        place = place[key]
    return place


def count_workers(settings: Mapping[str, Any], path: str) -> int:
    """Return a setting of verl's that is a number of workers; its default is always 8."""
    configured = get_path(settings, path)
    return configured if isinstance(configured, int) else 8


def leaves(keys: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and value of each key, nested or dotted; an empty group is a value."""
    for key, value in keys.items():
        path = (*above, *str(key).split("."))
        if isinstance(value, Mapping) and value:
            yield from leaves(value, path)
        else:
            yield path, value
