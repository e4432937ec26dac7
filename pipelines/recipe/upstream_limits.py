"""The values and ranges that an upstream allows for its keys, as the generated key lists describe them."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.recipe.nested import get_path
from pipelines.recipe.problems import describe_value
from rewards.suggestions import any_of, did_you_mean, suggestion

_BOUNDS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": ("at least", operator.ge),
    "exclusiveMinimum": ("more than", operator.gt),
    "maximum": ("at most", operator.le),
    "exclusiveMaximum": ("less than", operator.lt),
}
_LIBRARIES = ("actor_rollout_ref.model.external_lib", "critic.model.external_lib", "model.external_lib")
_PLUGINS = ("VERL_USE_EXTERNAL_MODULES", "VLLM_PLUGINS", "PIPELINE_VERL_PYTHON")


def loads_plugins(settings: Mapping[str, Any]) -> bool:
    """Return whether a stage loads modules that may register more names: strategies, losses, loaders.

    Args:
        settings: The stage's upstream keys, nested.
    """
    variables = get_path(settings, "ray_kwargs.ray_init.runtime_env.env_vars")
    given = {*os.environ, *(variables if isinstance(variables, Mapping) else ())}
    return any(name in given for name in _PLUGINS) or any(get_path(settings, key) is not None for key in _LIBRARIES)


def find_problem(key: str, entry: Mapping[str, Any], value: Any, settings: Mapping[str, Any], plugins: bool) -> str:
    """Return why the upstream refuses a value of the right type; empty: it does not.

    Args:
        key: The key, dotted.
        entry: The key's entry in the list.
        value: The value.
        settings: All upstream keys of the stage, on whose values the limits may depend.
        plugins: Whether plugins may register more names.
    """
    if value is None or value == entry.get("default"):
        return ""
    if message := _check_json(entry, value) or _check_list(entry, value):
        return message
    if "json" in entry and isinstance(value, str):
        if not value.startswith("{"):
            return ""  # a file
        value = json.loads(value)
    for limits in (entry, *_cases(entry, settings)):
        if message := _check_names(limits, value) or _check_enum(limits, value, plugins) or _check_bounds(limits, value):
            return message
    group = key.rpartition(".")[0]
    for other in entry.get("excludes", ()):
        if value is True and get_path(settings, f"{group}.{other}" if group else other) is True:
            return f"only one of {key} and {other} may be true"
    return ""


def _cases(entry: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the limits that hold with the values of the other keys."""
    for case in entry.get("cases", ()):
        values = [(get_path(settings, other), allowed) for other, allowed in case["when"].items()]
        if all(value is None or value in allowed for value, allowed in values):
            yield case
            return  # the first is that of the other key's default


def _check_enum(limits: Mapping[str, Any], value: Any, plugins: bool) -> str:
    enum = [option for option in limits.get("enum", ()) if option is not None]
    if not enum or (plugins and limits.get("open")):
        return ""
    for item in _items(value, limits.get("separator")):
        kinds = tuple({type(option) for option in enum})
        if "${" in str(item):
            continue
        if isinstance(item, bool) or not isinstance(item, kinds):
            if isinstance(value, list):
                return f"found {item!r} in the list, expected {any_of(enum)}"
            continue
        folded = [str(option).lower() for option in enum] if limits.get("any_case") else []
        if item in enum or str(item).lower() in folded or str(limits.get("also") or "\0") in str(item):
            continue
        return f"found {item!r}, expected {any_of(enum)}{did_you_mean(item, enum) if isinstance(item, str) else ''}"
    return ""


def _check_names(limits: Mapping[str, Any], value: Any) -> str:
    """Check the keys of a mapping that an upstream passes on; private ones, which begin with _, are not listed."""
    if "names" not in limits:
        return ""
    if not isinstance(value, Mapping):
        return f"found {describe_value(value)}, expected a mapping"
    for name in value:
        if name not in limits["names"] and not name.startswith("_"):
            near = did_you_mean(name, limits["names"])
            if near or not limits.get("open"):
                owner = "".join(f" for {other} {any_of(allowed)}" for other, allowed in limits.get("when", {}).items())
                return f"unknown key {name!r}{owner}{near or suggestion(name, limits['names'])}"
    return ""


def _check_json(limits: Mapping[str, Any], value: Any) -> str:
    """Check text that an upstream reads as JSON if it begins with {, and that may otherwise be the path of a file."""
    if "json" not in limits or not isinstance(value, str):
        return ""
    if value.startswith("{"):
        try:
            json.loads(value)
        except ValueError as error:
            return f"found text that begins with {{ and is not JSON: {error}"
        return ""
    return "" if "file" in limits["json"] else f"found {describe_value(value)}, expected a mapping"


def _check_list(limits: Mapping[str, Any], value: Any) -> str:
    if not isinstance(value, list):
        return ""
    if (length := limits.get("length", len(value))) != len(value):
        return f"found a list of {len(value)}, expected {length} numbers"
    wrong = [each for each in value if limits.get("items") == "string" and not isinstance(each, str)]
    return f"found {describe_value(wrong[0])} in the list, expected text" if wrong else ""


def _items(value: Any, separator: str | None) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, str) and separator:
        return [part for each in value.split(separator) if (part := each.strip())]
    return [value]


def _check_bounds(limits: Mapping[str, Any], value: Any) -> str:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool) or not isinstance(item, int | float):
            continue
        if not all(holds(item, limits[name]) for name, (_, holds) in _BOUNDS.items() if name in limits):
            return f"found {item:g}, expected {describe_range(limits)}"
    return ""


def usual_limits(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the limits of a key while all other keys have their defaults."""
    return {**entry, **next(_cases(entry, {}), {})}


def describe_range(limits: Mapping[str, Any]) -> str:
    """Return the bounds of a key in words: `at least 0 and less than 1`; empty: there are none."""
    return " and ".join(f"{words} {limits[name]:g}" for name, (words, _) in _BOUNDS.items() if name in limits)
