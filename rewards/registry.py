"""Rewards by name: register, find, list, and check the options a recipe gives."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

RewardFunction = Callable[..., "float | dict[str, float]"]
"""verl's signature: `(data_source, solution_str, ground_truth, extra_info, *, option=default, …)`."""

_BUILT_IN = ("rewards.white_box", "rewards.code_tests")
_REGISTERED: dict[str, Reward] = {}


class RewardError(ValueError):
    """A reward that does not exist, an option it does not have, or a row without what it needs; one line."""


@dataclass(frozen=True)
class Reward:
    """A reward: its name, its function, and what a person may set."""

    name: str
    function: RewardFunction

    @property
    def help(self) -> str:
        """What it measures, in one line."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def options(self) -> dict[str, Any]:
        """Option -> default."""
        parameters = inspect.signature(self.function).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    def check_options(self, given: Mapping[str, Any]) -> None:
        """Raises:
        RewardError: an option is unknown or of another type than its default.
        """
        known = self.options
        for name, value in given.items():
            if name not in known:
                raise RewardError(f"reward {self.name} has no option {name!r}{_nearest(name, known)}")
            default = known[name]
            fits = isinstance(value, int | float) if isinstance(default, float) else isinstance(value, type(default))
            if not fits or isinstance(value, bool) is not isinstance(default, bool):
                wanted = type(default).__name__
                raise RewardError(f"reward {self.name}: option {name} is {value!r}, expected {wanted} such as {default!r}")


def register(name: str) -> Callable[[RewardFunction], RewardFunction]:
    """Decorator that makes a function the reward called `name`. Options are its keyword-only parameters.

    Raises:
        RewardError: another function has this name already.
    """

    def add(function: RewardFunction) -> RewardFunction:
        held = _REGISTERED.get(name)
        if held is not None and (held.function.__module__, held.function.__qualname__) != (
            function.__module__,
            function.__qualname__,
        ):
            raise RewardError(f"two rewards are called {name!r}: {held.function.__module__} and {function.__module__}")
        _REGISTERED[name] = Reward(name, function)
        return function

    return add


def find(name: str) -> Reward:
    """The reward called `name`.

    Raises:
        RewardError: there is none; names the nearest.
    """
    known = {reward.name: reward for reward in list_rewards()}
    if name not in known:
        raise RewardError(f"no reward is called {name!r}{_nearest(name, known)}")
    return known[name]


def list_rewards() -> list[Reward]:
    """All rewards, by name."""
    for module in _BUILT_IN:
        importlib.import_module(module)
    return [_REGISTERED[name] for name in sorted(_REGISTERED)]


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known)) or 'none'}"
