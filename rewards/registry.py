"""Rewards by name: register, load, list, and check the options a recipe gives.

Built-in rewards are always there, installed packages bring rewards through the entry-point group
`code_post_training.rewards`, and a recipe's `file` brings those of one file (see `plugins.py`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.errors import RewardError
from rewards.plugins import options
from rewards.plugins.signatures import FROM_VERL, caller_of, check_signature, place_of
from rewards.suggestions import suggestion

__all__ = ["Reward", "RewardError", "broken_packages", "find", "list_rewards", "load", "register"]

RewardFunction = Callable[..., Any]
"""verl's signature: `(data_source, solution_str, ground_truth, extra_info, *, option=default, …)`, sync or async."""

Reference = Callable[[str, Mapping[str, Any]], "str | None"]
"""`(ground_truth, extra_info)` -> a response that must get the best mark; None where the row does not hold one."""

Cheats = Callable[[str, Mapping[str, Any]], Mapping[str, str]]
"""`(ground_truth, extra_info)` -> what a cheat is called -> a response that must get the worst mark."""

Ready = Callable[[], None]
"""Raises MissingModuleError where this Python lacks a package with which the local sandbox scores."""

BUILT_IN = "built-in"
"""The source of the rewards that come with this project."""

_BUILT_IN = (
    "rewards.builtin.white_box",
    "rewards.builtin.code_tests",
    "rewards.builtin.bootcamp",
    "rewards.builtin.interpreter",
    "rewards.builtin.verl_graders",
)
_NAME = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)

_lock = threading.RLock()
_registered: dict[str, Reward] = {}
_collecting: list[tuple[str, dict[str, Reward]]] = []


@dataclass(frozen=True)
class Reward:
    """A reward: its name, its function, and what a person may set."""

    name: str
    function: RewardFunction
    reference: Reference | None = None
    cheats: Cheats | None = None
    source: str = BUILT_IN
    """Where it comes from: `built-in`, `package NAME VERSION`, or `file PATH`."""
    ready: Ready | None = None
    """Asked before a training begins."""

    @property
    def help(self) -> str:
        """What it measures, in one line."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def place(self) -> str:
        """`file:line` of its function."""
        return place_of(self.function)

    @property
    def is_async(self) -> bool:
        """Whether it is to be awaited."""
        function = self.function
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(caller_of(function))

    @property
    def options(self) -> dict[str, Any]:
        """Option -> default; `inspect.Parameter.empty` for one that has to be given."""
        return {name: parameter.default for name, parameter in self._parameters.items()}

    @functools.cached_property
    def _parameters(self) -> dict[str, inspect.Parameter]:
        parameters = inspect.signature(self.function).parameters.values()
        return {each.name: each for each in parameters if each.kind is each.KEYWORD_ONLY and each.name not in FROM_VERL}

    @functools.cached_property
    def takes_from_verl(self) -> frozenset[str]:
        """Which of verl's further arguments its function takes."""
        parameters = inspect.signature(self.function).parameters.values()
        if any(each.kind is each.VAR_KEYWORD for each in parameters):
            return frozenset(FROM_VERL)
        return frozenset(each.name for each in parameters) & frozenset(FROM_VERL)

    def check_options(self, given: Mapping[str, Any]) -> None:
        """Raises:
        RewardError: an option is unknown, of another type than its annotation or default, or missing.
        """
        known = self._parameters
        for name, value in given.items():
            if name not in known:
                raise RewardError(f"reward {self.name} has no option {name!r}{suggestion(name, known)}")
            kind, default = options.kind_of(self.function, known[name]), known[name].default
            if not options.fits(value, kind):
                example = "" if default in (inspect.Parameter.empty, None) else f" such as {default!r}"
                wanted = options.describe(value, kind, example)
                raise RewardError(f"reward {self.name}: option {name} is {value!r}, expected {wanted}")
        missing = [name for name, each in known.items() if each.default is each.empty and name not in given]
        if missing:
            raise RewardError(f"reward {self.name} needs the option {missing[0]!r}; it has no default")


def register(
    name: str, *, reference: Reference | None = None, cheats: Cheats | None = None, ready: Ready | None = None
) -> Callable[[RewardFunction], RewardFunction]:
    """Decorator that makes a function the reward called `name`. Options are its keyword-only parameters.

    `reference` and `cheats` are what `pipeline rewards check` scores; `ready` is asked before a training begins.

    Raises:
        RewardError: another function has this name already, or the function does not take what verl gives.
    """

    if callable(name):
        raise RewardError('write @register("name"), with the reward\'s name')
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RewardError(f"{name!r} is no name for a reward; expected a letter, then letters, digits, '_', '-' and '.'")

    def add(function: RewardFunction) -> RewardFunction:
        check_signature(name, function)
        with _lock:
            built_in = function.__module__ in _BUILT_IN
            collected = _collecting[-1] if _collecting and not built_in else None
            source, own = collected or (BUILT_IN if built_in else f"module {function.__module__}", _registered)
            reward = Reward(name, function, reference, cheats, source, ready)
            held = own.get(name) or _registered.get(name)
            if held is not None and held.place != reward.place:
                raise RewardError(f"two rewards are called {name!r}: {held.place} and {reward.place}")
            own[name] = reward
        return function

    return add


def load(name: str, file: str | Path | None = None) -> Reward:
    """The reward called `name`: of a plugin file where one is given, else built-in or from an installed package.

    Raises:
        RewardError: there is none (names the nearest), or the file or package that has it does not load.
    """
    if file is not None:
        from rewards.plugins.loading import load_file

        found = load_file(Path(file))
        if name not in found:
            raise RewardError(f"{file} registers no reward called {name!r}{suggestion(name, found)}")
        return found[name]
    known = {reward.name: reward for reward in _list_built_in()}
    if name in known:
        return known[name]
    known = {reward.name: reward for reward in list_rewards()}
    if name not in known:
        broken = "".join(f"; {line}" for line in broken_packages())
        raise RewardError(f"no reward is called {name!r}{suggestion(name, known)}{broken}")
    return known[name]


def find(name: str) -> Reward:
    """`load` without a plugin file."""
    return load(name)


def list_rewards(file: str | Path | None = None) -> list[Reward]:
    """All rewards, by name; those of a plugin file too where one is given.

    A package whose rewards do not load is left out; `broken_packages` says why.

    Raises:
        RewardError: the file does not load.
    """
    from rewards.plugins.loading import load_file, load_packages

    _list_built_in()
    load_packages()
    own = load_file(Path(file)) if file is not None else {}
    with _lock:
        return [reward for _, reward in sorted((_registered | own).items())]


def broken_packages() -> tuple[str, ...]:
    """One line for each entry point of an installed package that does not load, naming package and cause."""
    from rewards.plugins.loading import load_packages

    return load_packages()


@contextmanager
def collect(source: str, into: dict[str, Reward] | None = None) -> Iterator[None]:
    """What is registered meanwhile is known to come from `source`, and goes `into` a registry of its own."""
    _list_built_in()
    with _lock:
        _collecting.append((source, _registered if into is None else into))
        try:
            yield
        finally:
            _collecting.pop()


def _list_built_in() -> list[Reward]:
    for module in _BUILT_IN:
        importlib.import_module(module)  # not under the lock: another thread may be importing it, and registers then
    with _lock:
        return [reward for reward in _registered.values() if reward.source == BUILT_IN]
