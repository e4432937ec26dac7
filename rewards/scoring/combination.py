"""Several rewards for one stage: which of them score a row, and how their scores are combined.

A reward with a pattern scores the rows whose data source matches it; one without scores the rows that no other pattern than
`*` matches; `*` matches every row. The score is the weighted sum over the rewards that score the row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from rewards.errors import RewardError
from rewards.plugins.loading import load
from rewards.plugins.options import read_options
from rewards.registry import Reward
from rewards.suggestions import suggestion

_FIELDS = ("name", "options", "weight", "data_source", "file")


@dataclass(frozen=True)
class Entry:
    """One reward of a stage."""

    reward: Reward
    options: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    pattern: str | None = None
    """Matches data sources as file names: `*`, `?`, `[…]`."""
    key: str = ""
    """The key of its own score in the result, if there are several rewards: `<name>_score`."""


@dataclass(frozen=True)
class Part:
    """One reward's result for a row."""

    score: float
    accuracy: float | None = None
    """From 0 to 1; None if the reward returns none."""
    format: float | None = None
    """None if the reward does not check the format."""


@dataclass(frozen=True)
class Combination:
    """All rewards of a stage."""

    entries: tuple[Entry, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of every result."""
        own = tuple(entry.key for entry in self.entries) if len(self.entries) > 1 else ()
        return ("score", "accuracy", "has_accuracy", "format", "failed", *own)

    def matching_rewards(self, data_source: str) -> tuple[Entry, ...]:
        """Return the rewards that score rows of a data source."""
        matching = [entry for entry in self.entries if entry.pattern and fnmatchcase(data_source, entry.pattern)]
        unclaimed = all(entry.pattern == "*" for entry in matching)
        return tuple(entry for entry in self.entries if entry in matching or (entry.pattern is None and unclaimed))

    def combine(self, parts: Sequence[tuple[Entry, Part]]) -> dict[str, float]:
        """Return the result of a row.

        `accuracy` and `format` are means, by weight, over the rewards that return one and have a positive weight; if none
        returns an accuracy, it is the mean of the scores. `has_accuracy` is 1.0 if every reward with a positive weight
        returned one. `<name>_score` is a reward's score before its weight, 0.0 if it does not score the row.
        """
        result = dict.fromkeys(self.keys, 0.0)
        result["score"] = math.fsum(entry.weight * part.score for entry, part in parts)
        has_accuracy = any(part.accuracy is not None for _, part in parts)
        result["accuracy"] = _mean((entry.weight, part.accuracy if has_accuracy else part.score) for entry, part in parts)
        returned = [part.accuracy is not None for entry, part in parts if entry.weight > 0]
        result["has_accuracy"] = float(bool(returned) and all(returned))
        result["format"] = _mean((entry.weight, part.format) for entry, part in parts)
        if len(self.entries) > 1:
            result |= {entry.key: part.score for entry, part in parts}
        return result

    def failed(self) -> dict[str, float]:
        """Return the result of a row that could not be scored: its accuracy is 0."""
        return dict.fromkeys(self.keys, 0.0) | {"has_accuracy": 1.0, "failed": 1.0}


def read_combination(rewards: Sequence[Mapping[str, Any]]) -> Combination:
    """Read a stage's rewards from its configuration (see `read_entry`).

    Raises:
        RewardError: a reward or an option does not exist, or a plugin file does not load.
    """
    entries = [read_entry(given) for given in rewards]
    if not entries:
        raise RewardError("a stage needs a reward")
    keys = score_keys([entry.reward.name for entry in entries])
    return Combination(tuple(replace(entry, key=key) for entry, key in zip(entries, keys, strict=True)))


def score_keys(names: Sequence[str]) -> list[str]:
    """Return the result keys of several rewards' own scores; the second reward of a name has `<name>_2_score`."""
    counts = [names[: index + 1].count(name) for index, name in enumerate(names)]
    return [f"{name}_{count}_score" if count > 1 else f"{name}_score" for name, count in zip(names, counts, strict=True)]


def read_entry(given: Mapping[str, Any]) -> Entry:
    """Read one reward of a stage: a mapping with name and, optionally, options, weight, data_source and file.

    Raises:
        RewardError: the reward or an option does not exist, or the plugin file does not load.
    """
    if unknown := sorted(given.keys() - set(_FIELDS)):
        raise RewardError(f"a reward has no key {unknown[0]!r}{suggestion(unknown[0], _FIELDS)}")
    reward = load(given["name"], given.get("file"))
    options = read_options(reward, given.get("options") or {})
    return Entry(reward, options, float(given.get("weight", 1.0)), given.get("data_source"))


def read_part(result: object) -> Part:
    """Read a reward's return value: a number, or a mapping with `score` and optionally `accuracy` (verl's `acc`) and `format`.

    Other keys are dropped: verl requires the same keys on every row of a run.

    Raises:
        ValueError, TypeError: it is neither, or a number is not finite.
    """
    if not isinstance(result, Mapping):
        return Part(_number("score", result))
    if "score" not in result:
        raise ValueError(f"no `score` in its result, whose keys are {', '.join(map(str, result)) or 'none'}")
    score = _number("score", result["score"])
    accuracy = next((_number(key, result[key]) for key in ("accuracy", "acc") if key in result), None)
    return Part(score, accuracy, _number("format", result["format"]) if "format" in result else None)


def _number(key: str, value: Any) -> float:
    if isinstance(value, str | bytes | bytearray) or (not hasattr(value, "__float__") and not hasattr(value, "__index__")):
        raise TypeError(f"{key} is {str(value)[:60]!r} ({type(value).__name__}), expected a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{key} is {number}, expected a finite number")
    return number


def _mean(weighted: Iterable[tuple[float, float | None]]) -> float:
    given = [(weight, value) for weight, value in weighted if weight > 0 and value is not None]
    total = math.fsum(weight for weight, _ in given)
    return math.fsum(weight * value for weight, value in given) / total if total else 0.0
