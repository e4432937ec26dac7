"""Return the results of calls as data that `rewards.programs.candidate.unpack` reads."""

from __future__ import annotations

import array
import collections
import decimal
import fractions
import itertools
from typing import Any

from rewards.programs.inside.isolated_tests.remote import Remote

_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_LISTS: tuple[Any, ...] = (list, collections.deque, range, array.array, *_VIEWS)
_CONTAINERS: dict[type, str] = {tuple: "t", set: "s", frozenset: "f"}
_MOST_ITEMS = 2_000_000
_MOST_DIGITS = 5_000


def pack(value: Any) -> Any:
    """Return a value as JSON data: iterators and sequences as lists, decimal numbers and fractions as ints or floats.

    Raises:
        TypeError: It is another object.
    """
    if type(value) is Remote:
        plain = value._remote_plain() if value._remote_kind else list(itertools.islice(value, _MOST_ITEMS))
        return pack(plain)
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, int):
        return {"i": hex(value)} if abs(value) > 1 << 64 else value
    if isinstance(value, (decimal.Decimal, fractions.Fraction)):
        if isinstance(value, decimal.Decimal) and not (value.is_finite() and value.adjusted() < _MOST_DIGITS):
            return float(value)
        return pack(int(value)) if value == int(value) else float(value)
    if isinstance(value, _LISTS):
        return [pack(each) for each in value]
    if isinstance(value, dict):
        return {"d": [[pack(key), pack(item)] for key, item in value.items()]}
    if type(value) in _CONTAINERS:
        return {_CONTAINERS[type(value)]: list(map(pack, value))}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"b": list(value)}
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    raise TypeError(f"a {type(value).__name__} is not plain data")
