"""What a reward's function takes: verl's four arguments by name, and options by name only."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from rewards.errors import RewardError

_ARGUMENTS = ("data_source", "solution_str", "ground_truth", "extra_info")

# What verl adds to every call where a reward model runs beside the training (verl's reward managers): no options.
FROM_VERL = ("reward_router_address", "reward_model_tokenizer")


def place_of(function: Callable[..., Any]) -> str:
    """`file:line` of a function, whatever is wrapped around it."""
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    code = getattr(inner, "__code__", None) or getattr(caller_of(inner), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else f"{function!r}"


def caller_of(thing: object) -> Any:
    """What a callable object is called by."""
    return getattr(type(thing), "__call__", None)  # noqa: B004 (not whether, but what)


def check_signature(name: str, function: Callable[..., Any]) -> None:
    """Raises:
    RewardError: verl's four arguments, or options, could not be given to the function by name.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise RewardError(f"reward {name}: {function!r} is no function whose parameters can be read") from None
    where = f"reward {name} ({place_of(function)})"
    empty, by_name = inspect.Parameter.empty, (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    wanted = f"expected ({', '.join(_ARGUMENTS)}, *, option=default, ...)"
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for argument in _ARGUMENTS:
        given = parameters.get(argument)
        if given is None and not takes_any:
            raise RewardError(f"{where} has no parameter {argument}; {wanted}")
        if given is not None and given.kind not in by_name:
            raise RewardError(f"{where}: parameter {argument} cannot be given by name; {wanted}")
    for each in parameters.values():
        if each.name in _ARGUMENTS or each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD, each.VAR_POSITIONAL):
            continue
        if each.default is empty or each.kind is each.POSITIONAL_ONLY:
            raise RewardError(f"{where}: parameter {each.name} would never be given; {wanted}")
        raise RewardError(f"{where}: option {each.name} is not keyword-only; put `*,` before it")
