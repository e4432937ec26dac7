"""Encode values as messages and decode them. Values of the types below are copied between the processes."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import math
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
_PENDING = object()
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


class Endpoint:
    """The part of a process's end of the pipes that encoding and decoding need."""

    def __init__(self, classes: dict[type, str]) -> None:
        self.classes = classes

    def find_class(self, name: str) -> type:
        return {name: kind for kind, name in self.classes.items()}[name]

    def set_attributes(self, value: Any, contents: dict[str, Any]) -> None:
        for name in find_attributes(value).keys() - contents.keys():
            object.__delattr__(value, name)
        for name, content in contents.items():
            object.__setattr__(value, name, content)

    # Encode a value that is not copied as a reference, and decode a reference.
    def export(self, value: Any) -> Any: ...

    def resolve(self, data: list[Any]) -> Any: ...


class Encoder:
    """Encodes values as JSON: atoms as they are, containers as numbered flat nodes, at any depth, with sharing and cycles."""

    def __init__(self, endpoint: Endpoint, originals: list[Any] | None = None) -> None:
        self.endpoint = endpoint
        self.nodes: list[Any] = []
        self.objects: list[Any] = []
        self._pending: list[int] = []
        self._memo = {id(each): ["g", number] for number, each in enumerate(originals or ()) if type(each) not in ATOMS}

    def item(self, value: Any) -> Any:
        kind = type(value)
        if kind in ATOMS:
            if kind is int and not -(1 << 64) < value < 1 << 64:
                return ["i", hex(value)]
            if kind is float and not math.isfinite(value):
                return ["f", repr(value)]
            return value
        known = self._memo.get(id(value))
        if known is not None:
            return known
        if kind in NODES or kind in self.endpoint.classes:
            number = len(self.nodes)
            self._memo[id(value)] = ["r", number]
            self.objects.append(value)
            self.nodes.append(None)
            self._pending.append(number)
            return ["r", number]
        if kind is bytes:
            return ["b", value.decode("latin-1")]
        if kind is complex:
            return ["c", self.item(value.real), self.item(value.imag)]
        if kind in VALUES and getattr(value, "tzinfo", None) is None:
            return ["v", kind.__name__, *map(self.item, VALUES[kind](value))]
        return self.endpoint.export(value)

    def node(self, value: Any) -> list[Any]:
        """Encode one level of a container."""
        name = NODES.get(type(value))
        if name is None:
            parts = [(attribute, self.item(content)) for attribute, content in find_attributes(value).items()]
            return ["inst", self.endpoint.classes[type(value)], *(each for part in parts for each in part)]
        if name in ("list", "tuple", "set", "fset"):
            return [name, *map(self.item, value)]
        if name == "deque":
            return [name, value.maxlen, *map(self.item, value)]
        node: list[Any] = [name]
        if name == "ddict":
            node.append(value.default_factory.__name__ if value.default_factory in TYPES else None)
        for key, content in value.items():
            node += (self.item(key), self.item(content))
        return node

    def finish(self) -> list[Any]:
        """Encode the pending containers and return all nodes."""
        while self._pending:
            number = self._pending.pop()
            self.nodes[number] = self.node(self.objects[number])
        return self.nodes

    def add(self, node: list[Any]) -> int:
        """Add a node and return its number."""
        self.nodes.append(node)
        self.objects.append(None)
        return len(self.nodes) - 1


class Decoder:
    def __init__(self, endpoint: Endpoint, nodes: list[Any], originals: list[Any] | None = None) -> None:
        self.endpoint = endpoint
        self.nodes = nodes
        self.originals = originals or []
        self.objects = [self._make(node) if node[0] in MUTABLE else _PENDING for node in nodes]
        # Keys must be complete before they are hashed, so fill keyed containers last.
        for keyed in (False, True):
            for number, node in enumerate(nodes):
                if node[0] in MUTABLE and (node[0] in KEYED) is keyed:
                    self.fill(node, self.objects[number])
        for number in range(len(nodes)):
            self._get(number)

    def _make(self, node: list[Any]) -> Any:
        if node[0] == "inst":
            return object.__new__(self.endpoint.find_class(node[1]))
        if node[0] == "deque":
            return collections.deque(maxlen=node[1])
        if node[0] == "ddict":
            factories: dict[str, Any] = {kind.__name__: kind for kind in TYPES}
            return collections.defaultdict(factories.get(node[1]))
        return MAKE[node[0]]()

    def fill(self, node: list[Any], value: Any) -> None:
        """Replace the contents of a value with those of a node of its type."""
        kind = node[0]
        if kind == "inst":
            contents = {node[place]: self.item(node[place + 1]) for place in range(2, len(node), 2)}
            self.endpoint.set_attributes(value, contents)
        elif kind == "list":
            value[:] = [self.item(each) for each in node[1:]]
        elif kind == "deque":
            value.clear()
            value.extend(self.item(each) for each in node[2:])
        elif kind == "set":
            value.clear()
            value.update(self.item(each) for each in node[1:])
        else:
            first = 2 if kind == "ddict" else 1
            dict.clear(value)
            for place in range(first, len(node), 2):
                dict.__setitem__(value, self.item(node[place]), self.item(node[place + 1]))
            if kind == "odict":  # stores its order separately
                pairs = list(dict.items(value))
                value.clear()
                for key, content in pairs:
                    value[key] = content

    def _get(self, number: int) -> Any:
        if self.objects[number] is _PENDING:
            name, *items = self.nodes[number]
            self.objects[number] = MAKE[name](list(map(self.item, items)))
        return self.objects[number]

    def item(self, data: Any) -> Any:
        if type(data) is not list:
            return data
        tag = data[0]
        if tag == "r":
            return self._get(data[1])
        if tag == "g":
            return self.originals[data[1]]
        if tag == "i":
            return int(data[1], 16)
        if tag == "f":
            return float(data[1])
        if tag == "b":
            return data[1].encode("latin-1")
        if tag == "c":
            return complex(self.item(data[1]), self.item(data[2]))
        if tag == "v":
            return VALUE_NAMES[data[1]](*map(self.item, data[2:]))
        return self.endpoint.resolve(data)
