"""Options of a reward: what type each takes, by its annotation or else by its default."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rewards.suggestions import any_of, did_you_mean


def kind_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The type that an option takes; `Any` where neither annotation nor default says."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        annotation = _evaluate(function, parameter.name, annotation)
    if annotation is not parameter.empty:
        return annotation
    return Any if parameter.default is parameter.empty or parameter.default is None else type(parameter.default)


def fits(value: Any, kind: Any) -> bool:
    """Whether a recipe's value is of the type: whole numbers are numbers, truth values are not."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or kind is object:
        return True
    if kind is None or kind is type(None):
        return value is None
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in arguments)
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float)
    outer = origin or kind
    if not isinstance(outer, type):
        return True  # a kind of annotation that says nothing here
    if issubclass(outer, Mapping):
        inner = arguments or (Any, Any)
        return isinstance(value, Mapping) and all(fits(key, inner[0]) and fits(each, inner[1]) for key, each in value.items())
    if issubclass(outer, Sequence) and outer is not str:
        # YAML has one kind of list; a function may want a tuple.
        inner_kind = arguments[0] if arguments else Any
        return isinstance(value, list | tuple) and all(fits(each, inner_kind) for each in value)
    return isinstance(value, outer)


def describe(value: Any, kind: Any, example: str) -> str:
    """What was expected in place of a value; of choices the nearest one."""
    choices = _choices(kind)
    if choices:
        texts = [each for each in choices if isinstance(each, str)]
        return any_of(map(repr, choices)) + (did_you_mean(value, texts) if isinstance(value, str) else "")
    return (kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")) + example


def _choices(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if get_origin(kind) in (Union, types.UnionType):
        members = [_choices(each) if get_origin(each) is Literal else [each] for each in get_args(kind)]
        flat = [each for member in members for each in member]
        return flat if not any(isinstance(each, type) and each is not type(None) for each in flat) else []
    return []


def _evaluate(function: Callable[..., Any], name: str, annotation: str) -> Any:
    """One annotation that was left as text; the others may name what exists for a type checker only."""
    inner = inspect.unwrap(function)
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        return get_type_hints(holder, globalns=getattr(inner, "__globals__", {}))[name]
    except Exception:
        return inspect.Parameter.empty
