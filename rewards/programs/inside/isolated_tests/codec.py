"""Encode values as messages and decode them. Values of the types below are copied between the processes."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import fractions
import functools
import importlib
import inspect
import io
import math
import pathlib
import re
import sys
import types
from collections.abc import Callable
from typing import Any

ATOMS = {int, str, bool, float, type(None)}
BUILT_IN = (list, dict, set, frozenset, tuple, str, bytes, bytearray, int, float, complex)
MUTABLE = {"list", "deque", "inst", "dict", "odict", "counter", "ddict", "set", "texts", "bytes", "space"}
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
    types.SimpleNamespace: "space",
    io.StringIO: "texts",
    io.BytesIO: "bytes",
}
MAKE: dict[str, Any] = {name: kind for kind, name in NODES.items()}
_PLAIN, _ORDERED = dict[Any, Any](), collections.OrderedDict[Any, Any]()
_KEYS, _VALUES, _ITEMS = map(type, (_PLAIN.keys(), _PLAIN.values(), _PLAIN.items()))
_ORDERED_KEYS, _ORDERED_VALUES, _ORDERED_ITEMS = map(type, (_ORDERED.keys(), _ORDERED.values(), _ORDERED.items()))


def _flatten(pairs: Any) -> tuple[Any, ...]:
    return tuple(each for pair in pairs for each in pair)


def _pair(parts: tuple[Any, ...]) -> Any:
    return zip(parts[::2], parts[1::2], strict=True)


# Types that are rebuilt from their parts: type -> (name in messages, the parts of a value, the value of parts).
_Value = tuple[str, Callable[[Any], tuple[Any, ...]], Callable[..., Any]]
VALUES: dict[Any, _Value] = {
    range: ("range", lambda x: (x.start, x.stop, x.step), range),
    slice: ("slice", lambda x: (x.start, x.stop, x.step), slice),
    bytearray: ("bytearray", lambda x: (bytes(x),), bytearray),
    memoryview: ("memoryview", lambda x: (x.tobytes(),), memoryview),
    array.array: ("array", lambda x: (x.typecode, *x), lambda kind, *items: array.array(kind, items)),
    datetime.timedelta: ("timedelta", lambda x: (x.days, x.seconds, x.microseconds), datetime.timedelta),
    datetime.timezone: ("timezone", lambda x: x.__getinitargs__(), datetime.timezone),
    datetime.date: ("date", lambda x: (x.year, x.month, x.day), datetime.date),
    datetime.time: (
        "time",
        lambda x: (x.hour, x.minute, x.second, x.microsecond, x.tzinfo, x.fold),
        lambda *parts: datetime.time(*parts[:-1], fold=parts[-1]),
    ),
    datetime.datetime: (
        "datetime",
        lambda x: (x.year, x.month, x.day, x.hour, x.minute, x.second, x.microsecond, x.tzinfo, x.fold),
        lambda *parts: datetime.datetime(*parts[:-1], fold=parts[-1]),
    ),
    decimal.Decimal: ("decimal", lambda x: (str(x),), decimal.Decimal),
    fractions.Fraction: ("fraction", lambda x: (x.numerator, x.denominator), fractions.Fraction),
    pathlib.PosixPath: ("path", lambda x: (str(x),), pathlib.PosixPath),
    re.Pattern: ("pattern", lambda x: (x.pattern, x.flags), re.compile),
    collections.ChainMap: ("chain", lambda x: tuple(x.maps), collections.ChainMap),
    types.MappingProxyType: ("proxy", lambda x: _flatten(x.items()), lambda *parts: types.MappingProxyType(dict(_pair(parts)))),
    _KEYS: ("keys", tuple, lambda *parts: dict.fromkeys(parts).keys()),
    _VALUES: ("values", tuple, lambda *parts: dict(enumerate(parts)).values()),
    _ITEMS: ("items", _flatten, lambda *parts: dict(_pair(parts)).items()),
    _ORDERED_KEYS: ("okeys", tuple, lambda *parts: collections.OrderedDict.fromkeys(parts).keys()),
    _ORDERED_VALUES: ("ovalues", tuple, lambda *parts: collections.OrderedDict(enumerate(parts)).values()),
    _ORDERED_ITEMS: ("oitems", _flatten, lambda *parts: collections.OrderedDict(_pair(parts)).items()),
    inspect.Parameter: (
        "parameter",
        lambda x: (x.name, int(x.kind), x.default, x.annotation),
        lambda name, kind, default, annotation: inspect.Parameter(name, kind, default=default, annotation=annotation),
    ),
    inspect.Signature: (
        "signature",
        lambda x: (x.return_annotation, *x.parameters.values()),
        lambda returned, *parts: inspect.Signature(parts, return_annotation=returned),
    ),
}


# Modules that are not imported unless they are used, because that would slow down all tests: type -> the parts of a value.
_LAZY: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "zoneinfo.ZoneInfo": lambda x: (x.key,),
    "uuid.UUID": lambda x: (str(x),),
    **{
        f"ipaddress.IPv{version}{kind}": lambda x: (str(x),)
        for version in (4, 6)
        for kind in ("Address", "Interface", "Network")
    },
}


def _make_lazy(name: str, *parts: Any) -> Any:
    module, _, kind = name.rpartition(".")
    return getattr(importlib.import_module(module), kind)(*parts)


_MAKE_VALUE = {name: make for name, _, make in VALUES.values()}
_MAKE_VALUE |= {name: functools.partial(_make_lazy, name) for name in _LAZY}
_PENDING = object()
TYPES = (*BUILT_IN, bool, type(None), object, type)
# Classes that are the same in both processes. Creating an instance of one has no effects.
SHARED: dict[str, Any] = {
    f"{kind.__module__}.{kind.__qualname__}": kind for kind in [*TYPES, *NODES, *VALUES, inspect.Parameter.empty]
}
_SHARED_NAMES = {kind: name for name, kind in SHARED.items()}
SINGLES: dict[str, Any] = {"Ellipsis": ..., "NotImplemented": NotImplemented}


def find_value(value: Any) -> _Value | None:
    """Return how a value is rebuilt from its parts, or None if its type is not such a type."""
    kind = type(value)
    if kind in (datetime.datetime, datetime.time) and value.tzinfo is not None and find_value(value.tzinfo) is None:
        return None
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in _LAZY and getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind:
        return name, _LAZY[name], _MAKE_VALUE[name]
    return VALUES.get(kind)


def take_plain(kind: Any, value: Any) -> Any:
    """Return the value of a built-in type, without the methods of a derived class: `str` of an enum member is its name."""
    if kind is dict:
        return {key: dict.__getitem__(value, key) for key in dict.__iter__(value)}
    if kind in (bytes, bytearray):
        return kind(memoryview(value))
    if kind is complex:
        return complex(complex.real.__get__(value), complex.imag.__get__(value))
    convert = {int: int.__index__, float: float.__float__, str: str.__str__}.get(kind)
    return convert(value) if convert else kind(kind.__iter__(value))


def list_contents(value: Any) -> list[Any]:
    """Return the contents of a value of a mutable type, one level deep."""
    if isinstance(value, dict):
        return [each for pair in dict.items(value) for each in pair]
    if isinstance(value, (io.StringIO, io.BytesIO)):
        return [] if value.closed else [value.getvalue(), value.tell()]
    if isinstance(value, types.SimpleNamespace):
        return [each for pair in vars(value).items() for each in pair]
    if type(value) in NODES:
        return list(value)
    return [each for pair in find_attributes(value).items() for each in pair]


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

    def find_base(self, kind: type) -> type:
        return kind

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
        if self.endpoint.find_base(kind) in NODES or kind in self.endpoint.classes:
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
        if kind is type and (name := _SHARED_NAMES.get(value)) is not None:
            return ["s", name]
        if value is ... or value is NotImplemented:
            return ["s", repr(value)]
        if (how := find_value(value)) is not None:
            return ["v", how[0], *map(self.item, how[1](value))]
        return self.endpoint.export(value)

    def node(self, value: Any) -> list[Any]:
        """Encode one level of a container."""
        name = NODES.get(self.endpoint.find_base(type(value)))
        if name == "space":
            return [name, *map(self.item, (each for pair in vars(value).items() for each in pair))]
        if name is None:
            parts = [(attribute, self.item(content)) for attribute, content in find_attributes(value).items()]
            return ["inst", self.endpoint.classes[type(value)], *(each for part in parts for each in part)]
        if name in ("list", "tuple", "set", "fset"):
            return [name, *map(self.item, value)]
        if name == "deque":
            return [name, value.maxlen, *map(self.item, value)]
        if name in ("texts", "bytes"):
            return [name, "", -1] if value.closed else [name, self.item(value.getvalue()), value.tell()]
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

    def refer(self, value: Any, data: list[Any]) -> None:
        """Encode a value as these data from now on, unless it is encoded already."""
        self._memo.setdefault(id(value), data)

    def add(self, node: list[Any]) -> int:
        """Add a node and return its number."""
        self.nodes.append(node)
        self.objects.append(None)
        return len(self.nodes) - 1


class Decoder:
    def __init__(
        self, endpoint: Endpoint, nodes: list[Any], originals: list[Any] | None = None, known: dict[int, Any] | None = None
    ) -> None:
        """Decode nodes. Those whose numbers are in `known` replace the contents of these objects."""
        self.endpoint = endpoint
        self.nodes = nodes
        self.originals = originals or []
        self.objects = [self._make(node) if node[0] in MUTABLE else _PENDING for node in nodes]
        for number, value in (known or {}).items():
            if type(value) is type(self.objects[number]):
                self.objects[number] = value
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
        elif kind == "space":
            contents = {node[place]: self.item(node[place + 1]) for place in range(1, len(node), 2)}
            vars(value).clear()
            vars(value).update(contents)
        elif kind in ("texts", "bytes"):
            self._fill_file(node, value)
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

    def _fill_file(self, node: list[Any], value: Any) -> None:
        if node[2] < 0:
            value.close()
            return
        value.seek(0)
        value.truncate()
        value.write(self.item(node[1]))
        value.seek(node[2])

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
            return _MAKE_VALUE[data[1]](*map(self.item, data[2:]))
        if tag == "s":
            return SINGLES[data[1]] if data[1] in SINGLES else SHARED[data[1]]
        return self.endpoint.resolve(data)
