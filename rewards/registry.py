"""The registry of rewards: what a reward is, and `register`, the decorator that adds one."""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from rewards.errors import MissingModuleError, RewardError, one_line

RewardFunction = Callable[..., Any]
"""verl's signature: `(data_source, solution_str, ground_truth, extra_info, *, option=default, …)`, sync or async."""

Reference = Callable[[str, Mapping[str, Any]], "str | None"]
"""`(ground_truth, extra_info)` -> a response that must get the best score; None if the row has none."""

Cheats = Callable[[str, Mapping[str, Any]], Mapping[str, str]]
"""`(ground_truth, extra_info)` -> name of a cheat -> a response that must get the worst score."""

Ready = Callable[[], None]
"""Raises MissingModuleError if this Python lacks a package that the reward needs."""


@dataclass(frozen=True)
class Free:
    """What a row gives away: answers that cost nothing, and may rightly earn something."""

    nothing: str
    """A response whose answer does nothing."""
    constants: Mapping[str, str]
    """Name of an answer that is the same for every input -> a response with it."""
    shown: bool
    """Whether the answer can be copied from the prompt."""
    blank: bool
    """Whether an expected output is blank."""


FreeAnswers = Callable[[str, Mapping[str, Any], str], "Free | None"]
"""`(ground_truth, extra_info, prompt)` -> what the row gives away; None if that has no meaning for the row."""

CheckOptions = Callable[[Mapping[str, Any]], None]
"""Raises ValueError or RewardError if the values of the options, each of the right type, cannot work."""

BUILT_IN = "built-in"
"""The source of this project's own rewards."""

_ARGUMENTS = ("data_source", "solution_str", "ground_truth", "extra_info")
# verl adds these to every call if a reward model runs beside the training (verl's reward managers). They are not options.
_VERL_ARGUMENTS = frozenset({"reward_router_address", "reward_model_tokenizer"})
_NAME = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)

_lock = threading.Lock()
REWARDS: dict[str, Reward] = {}
"""The registered rewards by name."""
_registered: dict[str, dict[str, Reward]] = {}
"""Module -> what its functions were registered as, also by a file or package: a module is executed only once."""

_target: ContextVar[tuple[str, dict[str, Reward]] | None] = ContextVar("reward registry", default=None)


@dataclass(frozen=True)
class Reward:
    """A reward: its name, its function and its options."""

    name: str
    function: RewardFunction
    reference: Reference | None = None
    cheats: Cheats | None = None
    source: str = BUILT_IN
    """`built-in`, `package NAME VERSION`, or `file PATH`."""
    ready: Ready | None = None
    """Called before a training starts."""
    free: FreeAnswers | None = None
    check: CheckOptions | None = None

    def check_ready(self, *, local: bool) -> None:
        """Check that this Python can score with the reward.

        Args:
            local: Whether programs run in the local sandbox. A service has the packages of built-in rewards itself.

        Raises:
            MissingModuleError: A package is missing.
            RewardError: The check failed.
        """
        if self.ready is None or (self.source == BUILT_IN and not local):
            return
        try:
            self.ready()
        except RewardError:
            raise
        except ImportError as error:
            raise MissingModuleError(f"reward {self.name}: {one_line(error)}") from None
        except Exception as error:
            raise RewardError(f"reward {self.name} is not ready: {one_line(error)}") from None

    @property
    def help(self) -> str:
        """What it measures, in one line."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def location(self) -> str:
        """`file:line` of its function."""
        return locate(self.function)

    @property
    def is_async(self) -> bool:
        """Whether the function must be awaited."""
        return any(map(inspect.iscoroutinefunction, (self.function, _call_method(self.function))))

    @property
    def options(self) -> dict[str, Any]:
        """Option -> default; `inspect.Parameter.empty` for a required option."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    @functools.cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The function's keyword-only parameters, which are the options."""
        parameters = inspect.signature(self.function).parameters.values()
        return {each.name: each for each in parameters if each.kind is each.KEYWORD_ONLY and each.name not in _VERL_ARGUMENTS}

    @functools.cached_property
    def verl_arguments(self) -> frozenset[str]:
        """The names of verl's additional arguments that the function accepts."""
        parameters = inspect.signature(self.function).parameters.values()
        takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
        return _VERL_ARGUMENTS if takes_any else _VERL_ARGUMENTS & {each.name for each in parameters}


def register(
    name: str,
    *,
    reference: Reference | None = None,
    cheats: Cheats | None = None,
    ready: Ready | None = None,
    free: FreeAnswers | None = None,
    check: CheckOptions | None = None,
) -> Callable[[RewardFunction], RewardFunction]:
    """Register the decorated function as the reward `name`. Its keyword-only parameters are the options.

    `pipeline rewards check` scores `reference` and `cheats` and reports `free`; `ready` is called before a training starts.

    Raises:
        RewardError: another function has this name, or the function does not accept verl's arguments.
    """
    if callable(name):
        raise RewardError('write @register("name"), with the reward\'s name')
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RewardError(f"{name!r} is not a valid reward name; expected a letter, then letters, digits, '_', '-' and '.'")

    def add(function: RewardFunction) -> RewardFunction:
        _check_signature(name, function)
        source, target = _target.get() or (f"module {function.__module__}", REWARDS)
        if function.__module__.startswith("rewards.builtin."):
            source, target = BUILT_IN, REWARDS
        reward = Reward(name, function, reference, cheats, source, ready, free, check)
        with _lock:
            other = target.get(name) or REWARDS.get(name)
            if other is not None and other.location != reward.location:
                raise RewardError(f"two rewards are called {name!r}: {other.location} and {reward.location}")
            target[name] = reward
            _registered.setdefault(function.__module__, {})[name] = reward
        return function

    return add


def registered_by(module: ModuleType) -> list[Reward]:
    """Return the rewards that a module, its submodules and the functions that it imports were registered as."""
    inside = f"{module.__name__}."
    exported = {id(value) for value in vars(module).values()}
    every = [(name, each) for name, rewards in _registered.items() for each in rewards.values()]
    return [each for name, each in every if f"{name}.".startswith(inside) or id(each.function) in exported]


@contextmanager
def collect(source: str) -> Iterator[dict[str, Reward]]:
    """Collect the rewards that this thread registers meanwhile, instead of adding them to the registry.

    Args:
        source: the collected rewards' source.
    """
    collected: dict[str, Reward] = {}
    token = _target.set((source, collected))
    try:
        yield collected
    finally:
        _target.reset(token)


def locate(function: Callable[..., Any]) -> str:
    """Return `file:line` of a function, also of a wrapped one."""
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    code = getattr(inner, "__code__", None) or getattr(_call_method(inner), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else f"{function!r}"


def _call_method(thing: object) -> Any:
    return getattr(type(thing), "__call__", None)  # noqa: B004 (the method itself is needed)


def _check_signature(name: str, function: Callable[..., Any]) -> None:
    """Check that verl's arguments and the options can be passed by name.

    Raises:
        RewardError: they cannot.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise RewardError(f"reward {name}: {function!r} is not a function whose parameters can be read") from None
    where = f"reward {name} ({locate(function)})"
    expected = f"expected ({', '.join(_ARGUMENTS)}, *, option=default, ...)"
    kinds = {name: each.kind for name, each in parameters.items() if each.kind is not each.VAR_POSITIONAL}
    missing = [argument for argument in _ARGUMENTS if argument not in kinds]
    if missing and inspect.Parameter.VAR_KEYWORD not in kinds.values():
        raise RewardError(f"{where} has no parameter {missing[0]}; {expected}")
    for each in parameters.values():
        if each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD, each.VAR_POSITIONAL):
            continue
        if each.name in _ARGUMENTS and each.kind is each.POSITIONAL_ONLY:
            raise RewardError(f"{where}: parameter {each.name} cannot be passed by name; {expected}")
        if each.name not in _ARGUMENTS and (each.default is each.empty or each.kind is each.POSITIONAL_ONLY):
            raise RewardError(f"{where}: parameter {each.name} would never be passed; {expected}")
        if each.name not in _ARGUMENTS:
            raise RewardError(f"{where}: option {each.name} is not keyword-only; put `*,` before it")
