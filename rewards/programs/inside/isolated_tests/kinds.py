"""Types whose values are copied between the processes."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import pathlib
from collections.abc import Callable
from typing import Any

ATOMS = {int, str, bool, float, type(None)}
BUILT_IN = (list, dict, set, frozenset, tuple, str, bytes, bytearray, int, float, complex)
MUTABLE = {"list", "deque", "inst", "dict", "odict", "counter", "ddict", "set"}
KEYED = {"dict", "odict", "counter", "ddict", "set"}
NODES: dict[Any, str] = {
    list: "list",
    tuple: "tuple",
    set: "set",
    frozenset: "fset",
    dict: "dict",
    collections.deque: "deque",
    collections.OrderedDict: "odict",
    collections.Counter: "counter",
    collections.defaultdict: "ddict",
}
MAKE: dict[str, Any] = {name: kind for kind, name in NODES.items()}
# Types that are rebuilt from their parts.
VALUES: dict[Any, Callable[[Any], tuple[Any, ...]]] = {
    range: lambda x: (x.start, x.stop, x.step),
    slice: lambda x: (x.start, x.stop, x.step),
    bytearray: lambda x: (bytes(x),),
    datetime.timedelta: lambda x: (x.days, x.seconds, x.microseconds),
    datetime.date: lambda x: (x.year, x.month, x.day),
    datetime.time: lambda x: (x.hour, x.minute, x.second, x.microsecond),
    datetime.datetime: lambda x: (x.year, x.month, x.day, x.hour, x.minute, x.second, x.microsecond),
    decimal.Decimal: lambda x: (str(x),),
    fractions.Fraction: lambda x: (x.numerator, x.denominator),
    pathlib.PosixPath: lambda x: (str(x),),
}
VALUE_NAMES = {kind.__name__: kind for kind in VALUES}
TYPES = (*BUILT_IN, bool, type(None), object, type)


def find_attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an instance, from its slots and its dict, without running code of its class."""
    found = {}
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            try:
                found[name] = object.__getattribute__(value, name)
            except AttributeError:
                continue
    found.update(getattr(value, "__dict__", {}))
    return {name: item for name, item in found.items() if name not in ("__dict__", "__weakref__")}


def find_classes(scope: dict[str, Any]) -> dict[type, str]:
    """Return the prelude's own classes whose instances consist of their attributes only."""
    found = {}
    for name, value in scope.items():
        own = isinstance(value, type) and value.__module__ == "prelude" and type(value).__name__ in ("type", "ABCMeta")
        if own and not issubclass(value, (*BUILT_IN, BaseException, type)):
            found[value] = name
    return found
