"""Several rewards for one stage: which of them takes a row, and what they come to together.

An entry with a pattern takes the rows whose data source matches it; one without takes the rows that no other pattern
than `*` matches; `*` is for every row. The score is the weighted sum over the entries that take the row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from rewards.errors import RewardError
from rewards.registry import Reward, load

_FIELDS = {"name", "options", "weight", "data_source", "file"}


@dataclass(frozen=True)
class Entry:
    """One reward of a stage."""

    reward: Reward
    options: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    pattern: str | None = None
    """A pattern of data sources as of file names: `*`, `?`, `[…]`."""
    key: str = ""
    """Under which its own score stands in the result, where there are several: `<name>_score`."""


@dataclass(frozen=True)
class Part:
    """What one reward made of a row."""

    score: float
    accuracy: float | None = None
    """From 0 to 1; None where the reward says none."""
    format: float | None = None
    """None where the reward does not look at the form."""


@dataclass(frozen=True)
class Combination:
    """All rewards of a stage: one or several."""

    entries: tuple[Entry, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of every result."""
        own = tuple(entry.key for entry in self.entries) if len(self.entries) > 1 else ()
        return ("score", "accuracy", "format", "failed", *own)

    def takers(self, data_source: str) -> tuple[Entry, ...]:
        """The entries that take a row of this data source; none where the recipe has nothing for it."""
        matching = [entry for entry in self.entries if entry.pattern and fnmatchcase(data_source, entry.pattern)]
        rest = all(entry.pattern == "*" for entry in matching)
        return tuple(entry for entry in self.entries if entry in matching or (entry.pattern is None and rest))

    def combine(self, parts: Sequence[tuple[Entry, Part]]) -> dict[str, float]:
        """The result of a row.

        `accuracy` and `format` are means by weight over the rewards that say one and have a positive weight; where none
        says an accuracy, their scores are taken for it. `<name>_score` is what an entry gave before its weight, 0.0 where
        it did not take the row.
        """
        result = dict.fromkeys(self.keys, 0.0)
        result["score"] = math.fsum(entry.weight * part.score for entry, part in parts)
        says = any(part.accuracy is not None for _, part in parts)
        result["accuracy"] = _mean((entry.weight, part.accuracy if says else part.score) for entry, part in parts)
        result["format"] = _mean((entry.weight, part.format) for entry, part in parts)
        if len(self.entries) > 1:
            result |= {entry.key: part.score for entry, part in parts}
        return result

    def failed(self) -> dict[str, float]:
        """The result of a row that could not be scored."""
        return dict.fromkeys(self.keys, 0.0) | {"failed": 1.0}


def read_combination(rewards: Sequence[Mapping[str, Any]]) -> Combination:
    """A stage's rewards as its configuration says them (see `read_entry`).

    Raises:
        RewardError: a reward or an option does not exist, or a plugin file does not load.
    """
    entries = [read_entry(given) for given in rewards]
    if not entries:
        raise RewardError("a stage needs a reward")
    keys = score_keys([entry.reward.name for entry in entries])
    return Combination(tuple(replace(entry, key=key) for entry, key in zip(entries, keys, strict=True)))


def score_keys(names: Sequence[str]) -> list[str]:
    """Under which each of several rewards' own scores stand in a result; the second of a name is `<name>_2_score`."""
    again = [names[:place].count(name) + 1 for place, name in enumerate(names)]
    return [f"{name}_{count}_score" if count > 1 else f"{name}_score" for name, count in zip(names, again, strict=True)]


def read_entry(given: Mapping[str, Any]) -> Entry:
    """One reward of a stage: a mapping with name and, where they are said, options, weight, data_source and file.

    Raises:
        RewardError: the reward or an option does not exist, or the plugin file does not load.
    """
    if unknown := given.keys() - _FIELDS:
        raise RewardError(f"a reward has no key {min(unknown)!r}; there are {', '.join(sorted(_FIELDS))}")
    reward, options = load(given["name"], given.get("file")), dict(given.get("options") or {})
    reward.check_options(options)
    return Entry(reward, options, float(given.get("weight", 1.0)), given.get("data_source"))


def read_part(result: object) -> Part:
    """What a reward returned: a number, or a mapping with `score` and perhaps `accuracy` (verl's `acc`) and `format`.

    Whatever else the mapping holds is left out: verl wants the same keys on every row of a run.

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
    whole = math.fsum(weight for weight, _ in given)
    return math.fsum(weight * value for weight, value in given) / whole if whole else 0.0
