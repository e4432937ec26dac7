"""Options of a reward or converter: the type of each, from its annotation or its default, and reading of values."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rewards.errors import RewardError
from rewards.registry import Reward
from rewards.suggestions import any_of, did_you_mean, suggestion


def read_options(reward: Reward, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's options as the types that the reward's function declares: a list as a tuple, a text as a path.

    Raises:
        RewardError: an option is unknown, missing, or has another type than its annotation or default.
    """
    options = {}
    for name, value in given.items():
        if name not in reward.parameters:
            raise RewardError(f"reward {reward.name} has no option {name!r}{suggestion(name, reward.parameters)}")
        parameter = reward.parameters[name]
        kind, default = option_type(reward.function, parameter), parameter.default
        try:
            options[name] = _read(value, kind)
        except (TypeError, ValueError):
            example = "" if default in (inspect.Parameter.empty, None) else f" such as {default!r}"
            expected = _describe(value, kind, example)
            raise RewardError(f"reward {reward.name}: option {name} is {value!r}, expected {expected}") from None
    for name, default in reward.options.items():
        if default is inspect.Parameter.empty and name not in given:
            raise RewardError(f"reward {reward.name} needs the option {name!r}; it has no default")
    if reward.check is not None:
        try:
            reward.check({**reward.options, **options})
        except (ValueError, RewardError) as error:
            raise RewardError(f"reward {reward.name}: {error}") from None
    return options


def option_type(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return the type of an option; `Any` if neither annotation nor default determines it."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        annotation = _evaluate(function, parameter.name, annotation)
    if annotation is not parameter.empty:
        return annotation
    return Any if parameter.default is parameter.empty or parameter.default is None else type(parameter.default)


def _read(value: Any, kind: Any) -> Any:
    """Return the value as the type, by strict JSON rules: an integer is a number; `true` and texts are not.

    Raises:
        TypeError, ValueError: the value has another type.
    """
    if kind is Any:
        return value
    from pydantic import PydanticUserError, TypeAdapter

    try:
        adapter = TypeAdapter(kind)
    except PydanticUserError:
        return value  # an annotation without a meaning for recipes
    found = adapter.validate_json(json.dumps(value), strict=True)
    return value if isinstance(found, Iterator) else found


def _describe(value: Any, kind: Any, example: str) -> str:
    if choices := _choices(kind):
        texts = [each for each in choices if isinstance(each, str)]
        return any_of(map(repr, choices)) + (did_you_mean(value, texts) if isinstance(value, str) else "")
    return (kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")) + example


def _choices(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if get_origin(kind) in (Union, types.UnionType):
        members = [_choices(each) for each in get_args(kind)]
        return [each for member in members for each in member] if all(members) else []
    return [None] if kind is types.NoneType else []


def _evaluate(function: Callable[..., Any], name: str, annotation: str) -> Any:
    """Evaluate one text annotation; others of the function may name what exists for type checkers only."""
    inner = inspect.unwrap(function)
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        return get_type_hints(holder, globalns=getattr(inner, "__globals__", {}))[name]
    except Exception:
        return inspect.Parameter.empty
