"""Read the reports of `rewards.programs.inside.calls` from a program's output, which may hold anything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_BEGINNING = '{"i": '
_DEEPEST = 300
"""Levels of lists and objects in a report. Within it, no function that recurses over a value exceeds Python's limit."""
_MOST_OF_A_HASH = 64
_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Report:
    """The first valid report of a call."""

    beginning: str
    """The beginning of what the report says, for messages."""
    value: Any = None
    error: str | None = None
    """Why the call did not return; None if it did."""


def read_calls(lines: Iterable[str], calls: int) -> Iterator[tuple[int, Report]]:
    """Yield the number and the first valid report of each call, in order of appearance. Skip all other lines.

    The program can write anything to its output. At most, that determines the values of its own calls.
    """
    wanted = {str(number) for number in range(-1, calls)}
    for line in lines:
        number = line[len(_BEGINNING) : _LONGEST_MESSAGE].partition(",")[0]
        if number not in wanted or not line.startswith(_BEGINNING):
            continue
        try:
            report = _read(line, is_call=number != "-1")
        except (LookupError, ValueError, TypeError, AttributeError, RecursionError, OverflowError, MemoryError):
            continue
        wanted.remove(number)
        yield int(number), report
        if not wanted - {"-1"}:
            return


def unpack(data: Any) -> Any:
    """Return a value packed by `inside/calls.py`, of exact built-in types, so that comparing it runs no untrusted code."""
    if isinstance(data, list):
        return [unpack(item) for item in data]
    if not isinstance(data, dict):
        return data
    ((kind, content),) = data.items()
    return _UNPACK[kind](content)


def _check_hashes(items: Iterable[Any]) -> list[Any]:
    """Return the items; refuse those that make a set or dictionary of them take quadratic time."""
    kept = list(items)
    if len(kept) > _MOST_OF_A_HASH and max(Counter(map(hash, kept)).values()) > _MOST_OF_A_HASH:
        raise ValueError("colliding hashes")
    return kept


def _unpack_dict(content: Any) -> dict[Any, Any]:
    keys = _check_hashes(unpack(key) for key, _ in content)
    return {key: unpack(content[number][1]) for number, key in enumerate(keys)}


# A number as the content of `b` would be the size of an empty value.
_UNPACK: dict[str, Any] = {
    "d": _unpack_dict,
    "t": lambda content: tuple(map(unpack, content)),
    "s": lambda content: set(_check_hashes(map(unpack, content))),
    "f": lambda content: frozenset(_check_hashes(map(unpack, content))),
    "i": lambda content: int(content, 16),
    "b": lambda content: bytes(iter(content)),
    "c": lambda content: complex(*content),
}


def _read(line: str, is_call: bool) -> Report:
    report = json.loads(line)
    # At most one level per bracket, of which there are few in most reports.
    if line.count("[") + line.count("{") > _DEEPEST and _is_too_deep(report):
        raise ValueError("too deep")
    end = _LONGEST_MESSAGE if len(line) > _LONGEST_MESSAGE else line.rindex("}")
    beginning = line[len(_BEGINNING) : end].partition(": ")[2]
    if "e" in report or not is_call:
        return Report(beginning, error=str(report["e"])[:_LONGEST_MESSAGE])
    return Report(beginning, unpack(report["v"]))


def _is_too_deep(data: Any) -> bool:
    level = [data]
    for _ in range(_DEEPEST):
        containers = [each for each in level if isinstance(each, (list, dict))]
        if not containers:
            return False
        level = [each for item in containers for each in (item if isinstance(item, list) else item.values())]
    return True
