"""Runs tests beside a candidate that never sees them: two processes, and plain data between them.

`main(task)` takes the candidate: a JSON object with `prelude`, `code` and `function`. It forks the candidate's process first
and reads the tests from standard input only then, so that neither they, nor what they expect, nor the token of the
verdicts was ever in the candidate's memory. Standard input: `token`, `kind`, `sources`, `helpers`, `max_tests`, and for
pytest modules `stand_in.py`, as source and compiled. One JSON line per report goes to standard output, each with the token:
`{"total": n}`, then `{"i": test, "ok": true | false | null}` (null: the test never turned to the candidate), or
`{"unsupported": what}`.

The tests see the candidate's functions and objects through `Remote`. Plain data and instances of the prelude's classes
cross by value, and what a call changes in its arguments is changed in the tests' own objects. Everything else stays with
the candidate and is asked. What is asked never is whether it equals a plain value: that is decided here.
"""

from __future__ import annotations

import binascii
import builtins
import collections
import datetime
import decimal
import fractions
import io
import json
import marshal
import math
import operator
import os
import pathlib
import signal
import sys

# What a program does to the built-in functions does not reach this file.
globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost every run
    from collections.abc import Callable
    from typing import Any

_LONGEST = 32 << 20
_MOST_PRINTED = 1_000_000
_SET_DUMPABLE = 4
_ATOMS = {int, str, bool, float, type(None)}
_BUILT_IN = (list, dict, set, frozenset, tuple, str, bytes, bytearray, int, float, complex)
_MUTABLE = {"list", "deque", "inst", "dict", "odict", "counter", "ddict", "set"}
_KEYED = {"dict", "odict", "counter", "ddict", "set"}
_NODES: dict[Any, str] = {
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
_MAKE: dict[str, Any] = {name: kind for kind, name in _NODES.items()}
# Values that are made again from their parts.
_VALUES: dict[Any, Callable[[Any], tuple[Any, ...]]] = {
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
_VALUE_NAMES = {kind.__name__: kind for kind in _VALUES}
_NAMED_MODULES = ("builtins", "operator", "math", "functools", "string", "itertools")
_TYPES = (*_BUILT_IN, bool, type(None), object, type)
_ORDER = ("lt", "le", "gt", "ge")
_ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift")
# Questions that a value of built-in type answers honestly and that another could answer as it likes.
_PREDICATES = {"startswith", "endswith", "issubset", "issuperset", "isdisjoint", "match", "fullmatch", "search", "equals"}
_FORWARDED = {"__name__", "__doc__", "__qualname__", "__dict__", "__wrapped__", "__annotations__"}


class Gone(BaseException):
    """The candidate's process ended, or sent what is no message."""


class Unsupported(BaseException):
    """A test needs what this runner has not."""


class Raised(Exception):  # noqa: N818 (carries an exception of the other side until it is raised)
    """An exception of the other side."""


def _find_attributes(value: Any) -> dict[str, Any]:
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


class Encoder:
    """Values as JSON: atoms as they are, containers as numbered flat nodes, so that depth, sharing and cycles are no matter."""

    def __init__(self, peer: Peer, originals: list[Any] | None = None) -> None:
        self.peer = peer
        self.nodes: list[Any] = []
        self.objects: list[Any] = []
        self._pending: list[int] = []
        self._memo = {id(each): ["g", number] for number, each in enumerate(originals or ()) if type(each) not in _ATOMS}

    def item(self, value: Any) -> Any:
        kind = type(value)
        if kind in _ATOMS:
            if kind is int and not -(1 << 64) < value < 1 << 64:
                return ["i", hex(value)]
            if kind is float and not math.isfinite(value):
                return ["f", repr(value)]
            return value
        known = self._memo.get(id(value))
        if known is not None:
            return known
        if kind in _NODES or kind in self.peer.classes:
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
        if kind in _VALUES and getattr(value, "tzinfo", None) is None:
            return ["v", kind.__name__, *map(self.item, _VALUES[kind](value))]
        return self.peer.export(value)

    def node(self, value: Any) -> list[Any]:
        """The contents of a container, one level."""
        kind = type(value)
        name = _NODES.get(kind)
        if name is None:
            parts = [(attribute, self.item(content)) for attribute, content in _find_attributes(value).items()]
            return ["inst", self.peer.classes[kind], *(each for part in parts for each in part)]
        if name in ("list", "tuple", "set", "fset"):
            return [name, *map(self.item, value)]
        node: list[Any] = [name]
        if name == "deque":
            return [name, value.maxlen, *map(self.item, value)]
        if name == "ddict":
            factory = value.default_factory
            node.append(factory.__name__ if factory in _TYPES else None)
        for key, content in value.items():
            node += (self.item(key), self.item(content))
        return node

    def finish(self) -> list[Any]:
        """All nodes."""
        while self._pending:
            number = self._pending.pop()
            self.nodes[number] = self.node(self.objects[number])
        return self.nodes

    def add(self, node: list[Any]) -> int:
        """Takes one more node; its number."""
        self.nodes.append(node)
        self.objects.append(None)
        return len(self.nodes) - 1


class Decoder:
    """The other way round."""

    def __init__(self, peer: Peer, nodes: list[Any], originals: list[Any] | None = None) -> None:
        self.peer = peer
        self.nodes = nodes
        self.originals = originals or []
        self.objects: list[Any] = [None] * len(nodes)
        self._done = [False] * len(nodes)
        for number, node in enumerate(nodes):
            if node[0] in _MUTABLE:
                self.objects[number] = self._make(node)
                self._done[number] = True
        # What may be a key is whole before there are keys.
        for keyed in (False, True):
            for number, node in enumerate(nodes):
                if node[0] in _MUTABLE and (node[0] in _KEYED) is keyed:
                    self.fill(node, self.objects[number])
        for number in range(len(nodes)):
            self._get(number)

    def _make(self, node: list[Any]) -> Any:
        if node[0] == "inst":
            return object.__new__(self.peer.find_class(node[1]))
        if node[0] == "deque":
            return collections.deque(maxlen=node[1])
        if node[0] == "ddict":
            factories: dict[str, Any] = {kind.__name__: kind for kind in _TYPES}
            return collections.defaultdict(factories.get(node[1]))
        return _MAKE[node[0]]()

    def fill(self, node: list[Any], value: Any) -> None:
        """Makes a node the whole contents of a value of its kind."""
        kind = node[0]
        if kind == "inst":
            contents = {node[place]: self.item(node[place + 1]) for place in range(2, len(node), 2)}
            self.peer.set_attributes(value, contents)
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
            if kind == "odict":  # it keeps an order of its own
                pairs = list(dict.items(value))
                value.clear()
                for key, content in pairs:
                    value[key] = content

    def _get(self, number: int) -> Any:
        if not self._done[number]:
            node = self.nodes[number]
            self.objects[number] = _MAKE[node[0]]([self.item(each) for each in node[1:]])
            self._done[number] = True
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
            return _VALUE_NAMES[data[1]](*map(self.item, data[2:]))
        return self.peer.resolve(data, self)


class Peer:
    """One end of the pipes: asks, and answers what it is asked meanwhile."""

    def __init__(self, reader: int, writer: int, classes: dict[type, str]) -> None:
        self._reader, self._writer = reader, writer
        self.classes = classes
        self.gone = False
        self.asked = 0

    def find_class(self, name: str) -> type:
        return {name: kind for kind, name in self.classes.items()}[name]

    def set_attributes(self, value: Any, contents: dict[str, Any]) -> None:
        for name in _find_attributes(value).keys() - contents.keys():
            object.__delattr__(value, name)
        for name, content in contents.items():
            object.__setattr__(value, name, content)

    def export(self, value: Any) -> Any:
        raise NotImplementedError

    def resolve(self, data: list[Any], decoder: Decoder) -> Any:
        raise NotImplementedError

    def answer(self, question: str, args: list[Any]) -> Any:
        raise NotImplementedError

    def describe(self, error: BaseException, encoder: Encoder) -> Any:
        raise NotImplementedError

    def make_error(self, data: Any, decoder: Decoder) -> BaseException:
        raise NotImplementedError

    def take_printed(self) -> str:
        return ""

    def ask(self, question: str, *args: Any) -> Any:
        """Asks the other side and waits."""
        if self.gone:
            raise Gone
        self.asked += 1
        encoder = Encoder(self)
        items = [encoder.item(each) for each in args]
        self._send({"q": question, "x": items, "n": encoder.finish()})
        while True:
            message = self._receive()
            if "q" in message:
                self._reply(message)
                continue
            try:
                decoder = Decoder(self, message["n"], encoder.objects)
                for number, node in message.get("u", ()):
                    decoder.fill(message["n"][node], encoder.objects[number])
                printed = message.get("p")
                error = self.make_error(message["e"], decoder) if "e" in message else None
                value = decoder.item(message.get("a"))
            except Exception as fault:
                raise self._lose() from fault
            if printed:
                sys.stdout.write(str(printed))
            if error is not None:
                raise error
            return value

    def serve(self) -> None:
        """Answers for as long as the other side is there."""
        while True:
            self._reply(self._receive())

    def _reply(self, message: dict[str, Any]) -> None:
        decoder = Decoder(self, message["n"])
        args = [decoder.item(each) for each in message["x"]]
        encoder = Encoder(self, decoder.objects)
        reply: dict[str, Any] = {}
        try:
            reply["a"] = encoder.item(self.answer(message["q"], args))
            changed = self._find_changes(message["n"], decoder.objects, encoder)
        except (Gone, Unsupported):
            raise
        except BaseException as error:
            encoder = Encoder(self, decoder.objects)
            reply = {"e": self.describe(error, encoder)}
            changed = self._find_changes(message["n"], decoder.objects, encoder)
        reply["n"] = encoder.finish()
        if changed:
            reply["u"] = changed
        printed = self.take_printed()
        if printed:
            reply["p"] = printed
        self._send(reply)

    def _find_changes(self, nodes: list[Any], objects: list[Any], encoder: Encoder) -> list[list[int]]:
        changed = []
        for number, (node, value) in enumerate(zip(nodes, objects, strict=True)):
            if node[0] not in _MUTABLE:
                continue
            now = encoder.node(value)
            then = [["g", each[1]] if type(each) is list and each[0] == "r" else each for each in node]
            if now != then or list(map(type, now)) != list(map(type, then)):
                changed.append([number, encoder.add(now)])
        return changed

    def _send(self, message: dict[str, Any]) -> None:
        text = json.dumps(message).encode()
        data = b"%16d" % len(text) + text
        try:
            while data:
                data = data[os.write(self._writer, data) :]
        except OSError as error:
            raise self._lose() from error

    def _receive(self) -> dict[str, Any]:
        try:
            length = int(self._read(16))
            if not 0 <= length <= _LONGEST:
                raise ValueError(length)
            message = json.loads(self._read(length))
            if type(message) is not dict:
                raise ValueError(message)
        except (OSError, EOFError, ValueError, RecursionError, MemoryError) as error:
            raise self._lose() from error
        return message

    def _read(self, length: int) -> bytes:
        parts = []
        while length:
            part = os.read(self._reader, min(length, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _lose(self) -> Gone:
        self.gone = True
        return Gone("the program is gone")


# ---------------------------------------------------------------------------------------------- the candidate's process


class Servant(Peer):
    """The candidate's end. Nothing it says is believed beyond its word; nothing it must not know is in its process."""

    def __init__(self, reader: int, writer: int, scope: dict[str, Any], task: dict[str, Any]) -> None:
        super().__init__(reader, writer, _find_classes(scope))
        self._held: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._function = task["function"]
        self._printed = io.StringIO()
        sys.stdout = self._printed
        self.namespace = _make_module("solution")
        self.namespace.update({name: value for name, value in scope.items() if not name.startswith("__")})
        exec(compile(task["code"], "<solution>", "exec", dont_inherit=True), self.namespace)
        # A class that the program defines anew is the one that it knows.
        for kind, name in list(self.classes.items()):
            mine = self.namespace.get(name)
            if isinstance(mine, type) and mine is not kind:
                self.classes[mine] = name

    def find_class(self, name: str) -> type:
        mine = self.namespace.get(name)
        return mine if isinstance(mine, type) and self.classes.get(mine) == name else super().find_class(name)

    def hold(self, value: Any) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._held)
            self._held.append(value)
        return number

    def export(self, value: Any) -> Any:
        if isinstance(value, Callback):
            return ["k", value.number]
        if isinstance(value, type):
            if value in _TYPES:
                return ["n", "builtins", value.__name__]
            if issubclass(value, BaseException):
                return self._export_error_class(value)
        if isinstance(value, Named):
            return ["o", self.hold(value.value), ""]
        for kind in (*_BUILT_IN, type(_ for _ in ())):
            if isinstance(value, kind):
                return ["o", self.hold(value), kind.__name__]
        return ["o", self.hold(value), ""]

    def _export_error_class(self, kind: type) -> Any:
        if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
            return ["n", kind.__module__, kind.__qualname__]
        return ["x", self.hold(kind), kind.__name__, *map(self._export_error_class, kind.__bases__)]

    def resolve(self, data: list[Any], decoder: Decoder) -> Any:
        if data[0] == "o":
            return self._held[data[1]]
        if data[0] == "k":
            return Callback(self, data[1])
        if data[0] == "n":
            return getattr(__import__(data[1]), data[2])
        raise ValueError(data)

    def describe(self, error: BaseException, encoder: Encoder) -> Any:
        try:
            text, args = str(error), [encoder.item(each) for each in error.args]
        except Exception:
            text, args = "", []
        return [self._export_error_class(type(error)), args, text, self.hold(error)]

    def make_error(self, data: Any, decoder: Decoder) -> BaseException:
        error: BaseException = getattr(builtins, data[0], Exception)(data[1])
        return error

    def take_printed(self) -> str:
        text = self._printed.getvalue()[:_MOST_PRINTED]
        if text:
            self._printed.seek(0)
            self._printed.truncate()
        return text

    def answer(self, question: str, args: list[Any]) -> Any:
        if question == "entry":
            return self._find_function()(*args[0], **args[1])
        if question == "call":
            return args[0](*args[1], **args[2])
        if question == "names":
            return [name for name in self.namespace if not name.startswith("_")]
        if question == "name":
            value = self.namespace[args[0]]
            own = callable(value) and not (isinstance(value, type) and issubclass(value, BaseException))
            return Named(value) if own else value
        if question == "rename":
            return self.namespace.__setitem__(args[0], args[1])
        if question == "patch":
            return setattr(__import__(args[0], fromlist=["_"]), args[1], args[2])
        if question == "plain":
            kinds: tuple[Any, ...] = _BUILT_IN
            return next(kind(args[0]) for kind in kinds if isinstance(args[0], kind))
        return _QUESTIONS[question](*args)

    def _find_function(self) -> Any:
        owner, dot, name = self._function.rpartition("().")
        if dot:
            return getattr(self.namespace[owner](), name)
        if name in self.namespace or "Solution" not in self.namespace:
            owner, dot, method = name.rpartition(".")
            return getattr(self.namespace[owner], method) if dot else self.namespace[name]
        return getattr(self.namespace["Solution"](), name)


class Named:
    """A function or class of the program's by its name: asked for every call, also where it is a built-in one."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Callback:
    """A function, or an iterator, that a test has given to the candidate."""

    def __init__(self, peer: Peer, number: int) -> None:
        self.peer, self.number = peer, number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.peer.ask("callback", self.number, args, kwargs)

    def __iter__(self) -> Callback:
        return self

    def __next__(self) -> Any:
        return self.peer.ask("step", self.number)


def _turn_around(act: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: act(b, a)


_QUESTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in (*_ORDER, *_ARITHMETIC, "eq", "ne", "neg", "pos", "invert", "contains")},
    **{f"r{name}": _turn_around(getattr(operator, name)) for name in _ARITHMETIC},
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    **{each.__name__: each for each in (abs, bool, float, hash, int, iter, len, next, repr, reversed, round, str, format)},
    **{each.__name__: each for each in (getattr, setattr, delattr, isinstance, issubclass, dir, divmod, complex)},
    "index": operator.index,
    "enter": lambda value: type(value).__enter__(value),
    "exit": lambda value, text: type(value).__exit__(value, *((Exception, Exception(text), None) if text else (None,) * 3)),
}


# -------------------------------------------------------------------------------------------------- the tests' process


class Remote:
    """An object of the candidate's, in the tests.

    Whether it equals a plain value is decided without asking it: no, unless its class derives from a built-in type; then
    the plain value it holds decides. In the same way it is not asked how it compares or computes with a plain value, nor
    whether it holds one, unless the test itself has made it by calling a class of the program (a name with a capital
    letter): its operators are what is being tested then.
    """

    __slots__ = (
        "_remote_base",
        "_remote_generator",
        "_remote_judge",
        "_remote_kind",
        "_remote_made",
        "_remote_name",
        "_remote_number",
    )

    def __init__(self, judge: Judge, number: int, kind: str) -> None:
        # Of two sorts: a value of a class that derives from the built-in type `kind`, or (`kind` empty) any other object.
        parts = {"judge": judge, "number": number, "made": False, "name": "", "base": None}
        parts |= {"kind": "" if kind == "generator" else kind, "generator": kind == "generator"}
        for name, value in parts.items():
            object.__setattr__(self, f"_remote_{name}", value)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        if self._remote_generator:
            return type(_ for _ in ())
        return getattr(builtins, self._remote_kind) if self._remote_kind else Remote

    def _remote_ask(self, question: str, *args: Any) -> Any:
        return self._remote_judge.ask(question, self, *args)

    def _remote_plain(self) -> Any:
        if not self._remote_kind:
            raise TypeError("an object of the program is no plain value")
        if self._remote_base is None or self._remote_kind in ("list", "dict", "set", "bytearray"):
            object.__setattr__(self, "_remote_base", self._remote_ask("plain"))
        return self._remote_base

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in _FORWARDED:
            raise AttributeError(name)
        if self._remote_kind in ("str", "bytes", "int", "float", "tuple", "frozenset") and hasattr(
            getattr(builtins, self._remote_kind), name
        ):
            return getattr(self._remote_plain(), name)
        if name in _PREDICATES and not self._remote_made:
            raise TypeError(f"{name} of an object that is no built-in value is not asked")
        return self._remote_ask("getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._remote_ask("setattr", name, value)

    def __delattr__(self, name: str) -> None:
        self._remote_ask("delattr", name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value = self._remote_ask("call", args, kwargs)
        if type(value) is Remote and self._remote_name[:1].isupper():
            object.__setattr__(value, "_remote_made", True)
        return value

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is Remote and not (self._remote_kind and other._remote_kind):
            return self._remote_ask("eq", other) is True
        if self._remote_kind:
            return bool(self._remote_plain() == (other._remote_plain() if type(other) is Remote else other))
        return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return int(self._remote_ask("hash"))

    def __contains__(self, item: object) -> bool:
        if self._remote_made or type(item) is Remote:
            return self._remote_ask("contains", item) is True
        return any(item is each or item == each for each in self)

    def __iter__(self) -> Any:
        return iter(self._remote_plain()) if self._remote_kind in _MAKE else self._remote_ask("iter")

    def __bool__(self) -> bool:
        return self._remote_ask("bool") is True

    def __int__(self) -> int:
        return int(self._remote_ask("int"))

    def __float__(self) -> float:
        return float(self._remote_ask("float"))

    def __index__(self) -> int:
        return operator.index(self._remote_ask("index"))

    def __complex__(self) -> complex:
        return complex(self._remote_ask("complex"))

    def __len__(self) -> int:
        return operator.index(self._remote_ask("len"))

    def __str__(self) -> str:
        return str(self._remote_ask("str"))

    def __repr__(self) -> str:
        return str(self._remote_ask("repr"))

    def __format__(self, spec: str) -> str:
        return str(self._remote_ask("format", spec))

    def __dir__(self) -> Any:
        return list(self._remote_ask("dir"))

    def __next__(self) -> Any:
        return self._remote_ask("next")

    def __reversed__(self) -> Any:
        return self._remote_ask("reversed")

    def __getitem__(self, key: Any) -> Any:
        return self._remote_ask("getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._remote_ask("setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        self._remote_ask("delitem", key)

    def __enter__(self) -> Any:
        return self._remote_ask("enter")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        return self._remote_ask("exit", "" if error is None else str(error) or type(error).__name__) is True and error is None

    def __instancecheck__(self, value: object) -> bool:
        return type(value) is Remote and self._remote_judge.ask("isinstance", value, self) is True

    def __subclasscheck__(self, kind: object) -> bool:
        return type(kind) is Remote and self._remote_judge.ask("issubclass", kind, self) is True


def _add_operators() -> None:
    def forward(question: str, reflected: bool) -> Any:
        def act(self: Remote, other: Any) -> Any:
            if type(other) is not Remote and not self._remote_made:
                if not self._remote_kind:
                    return NotImplemented
                mine = self._remote_plain()
                act = getattr(operator, question)
                return act(other, mine) if reflected else act(mine, other)
            value = self._remote_ask(f"r{question}" if reflected else question, other)
            if type(value) is Remote and self._remote_made:
                object.__setattr__(value, "_remote_made", True)
            return value

        return act

    def turn(question: str) -> Any:
        def act(self: Remote, *args: Any) -> Any:
            return self._remote_ask(question, *args)

        return act

    for name in _ORDER:
        setattr(Remote, f"__{name}__", forward(name, reflected=False))
    for name in _ARITHMETIC:
        dunder = name.rstrip("_")
        setattr(Remote, f"__{dunder}__", forward(name, reflected=False))
        setattr(Remote, f"__r{dunder}__", forward(name, reflected=True))
    for name in ("neg", "pos", "invert", "abs", "round"):
        setattr(Remote, f"__{name}__", turn(name))


_add_operators()


class Judge(Peer):
    """The tests' end."""

    def __init__(self, reader: int, writer: int, scope: dict[str, Any]) -> None:
        super().__init__(reader, writer, _find_classes(scope))
        self._remotes: dict[int, Remote] = {}
        self._errors: dict[int, type] = {}
        self._given: list[Any] = []

    def set_attributes(self, value: Any, contents: dict[str, Any]) -> None:
        # A method of the prelude's class must stay what it is, whatever the candidate calls its attributes.
        kind = type(value)
        for name in contents:
            held = getattr(kind, name, None)
            if name.startswith("__") or callable(held) or isinstance(held, property):
                raise ValueError(name)
        super().set_attributes(value, contents)

    def export(self, value: Any) -> Any:
        if type(value) is Remote:
            return ["o", value._remote_number]
        number = getattr(value, "_solution_number", None)
        if number is not None:
            return ["o", number]
        module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if module in _NAMED_MODULES and getattr(sys.modules.get(module), str(name), None) is value:
            return ["n", module, name]
        if callable(value) or hasattr(value, "__next__"):
            self._given.append(value)
            return ["k", len(self._given) - 1]
        raise Unsupported(f"a {type(value).__name__} as an argument")

    def resolve(self, data: list[Any], decoder: Decoder) -> Any:
        tag = data[0]
        if tag == "o":
            number, kind = data[1], data[2]
            if type(number) is not int or (kind not in ("", "generator") and getattr(builtins, kind) not in _BUILT_IN):
                raise ValueError(data)
            if number not in self._remotes:
                self._remotes[number] = Remote(self, number, kind)
            return self._remotes[number]
        if tag == "k":
            return self._given[data[1]]
        if tag == "n" and data[1] == "builtins":
            found = type(None) if data[2] == "NoneType" else getattr(builtins, data[2])
            if found in _TYPES or (isinstance(found, type) and issubclass(found, BaseException)):
                return found
        return self._find_error_class(data)

    def _find_error_class(self, data: list[Any]) -> type:
        """The exception class itself where it is of the standard library; else one of that name on the same bases."""
        if data[0] == "n":
            found = getattr(sys.modules.get(data[1]), data[2], Exception)
            if data[1].partition(".")[0] not in sys.stdlib_module_names:
                found = Exception
            return found if isinstance(found, type) and (issubclass(found, BaseException) or found is object) else Exception
        if data[0] != "x" or type(data[1]) is not int:
            raise ValueError(data)
        if data[1] not in self._errors:
            bases = tuple(self._find_error_class(each) for each in data[3:])
            contents = {
                "_solution_number": data[1],
                "__module__": "solution",
                "__str__": lambda self: self.__dict__.get("_text", None) or BaseException.__str__(self),
                "__getattr__": _get_error_attribute,
            }
            self._errors[data[1]] = type(str(data[2]), bases, contents)
        return self._errors[data[1]]

    def make_error(self, data: Any, decoder: Decoder) -> BaseException:
        kind = self._find_error_class(data[0])
        args = tuple(decoder.item(each) for each in data[1])
        if not issubclass(kind, BaseException):
            raise ValueError(data)  # noqa: TRY004 (what is no message)
        try:
            error = kind(*args) if data[0][0] == "n" else kind.__new__(kind, *args)
        except Exception:
            error = Exception(str(data[2]))
        error.args = args
        if data[0][0] == "x":
            error.__dict__.update(
                _text=str(data[2]), _remote=self.resolve(["o", data[3], ""], decoder), _solution_number=data[3]
            )
        return error

    def describe(self, error: BaseException, encoder: Encoder) -> Any:
        names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        return [names[0], str(error)]

    def answer(self, question: str, args: list[Any]) -> Any:
        if question == "callback":
            return self._given[args[0]](*args[1], **args[2])
        if question == "step":
            return next(self._given[args[0]])
        raise ValueError(question)

    def name(self, name: str) -> Any:
        """A name of the program's."""
        try:
            value = self.ask("name", name)
        except KeyError:
            raise AttributeError(f"module 'solution' has no attribute {name!r}") from None
        if type(value) is Remote:
            object.__setattr__(value, "_remote_name", name)
        return value


def _get_error_attribute(error: Any, name: str) -> Any:
    remote = error.__dict__.get("_remote")
    if remote is None or name.startswith("__"):
        raise AttributeError(name)
    return getattr(remote, name)


class Solution(type(sys)):  # type: ignore[misc]
    """The module `solution`, as tests import it."""

    def __init__(self, judge: Judge) -> None:
        super().__init__("solution")
        self.__dict__["_judge"] = judge

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return self._judge.ask("names")
        if name.startswith("__"):
            raise AttributeError(name)
        return self._judge.name(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):  # the import system's
            self.__dict__[name] = value
        else:
            self._judge.ask("rename", name, value)


class Reports:
    """The way out for verdicts."""

    def __init__(self, channel: int, token: str) -> None:
        self._channel, self._token = channel, token

    def write(self, **report: Any) -> None:
        os.write(self._channel, (json.dumps({**report, "token": self._token}) + "\n").encode())


def run_one(judge: Judge, reports: Reports, number: int, test: Callable[[], None]) -> None:
    """Runs a test and reports: it held, it did not, or it never turned to the candidate."""
    before = judge.asked
    try:
        test()
        held = True
    except Unsupported:
        raise
    except BaseException:
        held = False
    idle = held and judge.asked == before
    reports.write(i=number, ok=None if idle else held and not judge.gone)


def _run_statements(judge: Judge, reports: Reports, task: dict[str, Any], scope: dict[str, Any]) -> None:
    tests = [compile(source, "<test>", "exec", dont_inherit=True) for source in task["sources"]]
    helpers = compile(task["helpers"], "<tests>", "exec", dont_inherit=True)
    reports.write(total=len(tests))

    def candidate(*args: Any, **kwargs: Any) -> Any:
        return judge.ask("entry", args, kwargs)

    scope["candidate"] = candidate
    names = set(judge.ask("names"))
    for code in (*tests, helpers):
        for name in _find_names(code) & names - scope.keys() - builtins.__dict__.keys():
            scope[name] = judge.name(name)
    exec(helpers, scope)
    for number, code in enumerate(tests):
        run_one(judge, reports, number, lambda code=code: exec(code, {**scope}))  # type: ignore[misc]


def _find_names(code: Any) -> set[str]:
    names = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, type(code)):
            names |= _find_names(each)
    return names


def _find_classes(scope: dict[str, Any]) -> dict[type, str]:
    """The prelude's own classes whose instances are nothing but their attributes."""
    found = {}
    for name, value in scope.items():
        own = isinstance(value, type) and value.__module__ == "prelude" and type(value).__name__ in ("type", "ABCMeta")
        if own and not issubclass(value, (*_BUILT_IN, BaseException, type)):
            found[value] = name
    return found


def _make_module(name: str) -> dict[str, Any]:
    module = type(sys)(name)
    sys.modules[name] = module
    return module.__dict__


def _hide() -> None:
    """Keeps processes of the same user from reading this one's memory."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


def _forget_input() -> None:
    """Whoever called this may hold what is to come from standard input: the process about to be forked must not."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if type(value) is dict and type(value.get("stdin")) is str:
                value["stdin"] = ""
        frame = frame.f_back


def _be_candidate(reader: int, writer: int, scope: dict[str, Any], task: dict[str, Any]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    low, high = sorted((reader, writer))
    os.closerange(3, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, 1 << 16)
    Servant(reader, writer, scope, task).serve()


def main(text: str) -> None:
    """Runs one task."""
    task = json.loads(text)
    # What the program writes into its folder must not be imported by the tests.
    here = pathlib.Path.cwd().resolve()
    sys.path[:] = [each for each in sys.path if each and not pathlib.Path(each).resolve().is_relative_to(here)]
    _forget_input()
    _hide()
    fault = ""
    scope = _make_module("prelude")
    try:
        exec(compile(task["prelude"], "<prelude>", "exec", dont_inherit=True), scope)
    except BaseException as error:
        fault = f"the prelude fails: {type(error).__name__}: {error}"
    down, up = os.pipe(), os.pipe()
    candidate = os.fork()
    if not candidate:
        try:
            _be_candidate(down[0], up[1], scope, task)
        finally:
            os._exit(1)
    os.close(down[0])
    os.close(up[1])
    channel = os.dup(1)
    sys.stdout = io.StringIO()
    try:
        tests = json.loads(sys.stdin.read())
        reports = Reports(channel, tests["token"])
        judge = Judge(up[0], down[1], scope)
        try:
            if fault:
                raise Unsupported(fault)
            if tests["kind"] == "pytest":
                _run_pytest(judge, reports, tests, scope)
            else:
                _run_statements(judge, reports, tests, scope)
        except Unsupported as error:
            reports.write(unsupported=str(error))
        except BaseException:
            # The program's doing: it did not load, lacks a name or ended. What was not reported has failed.
            return
    finally:
        try:
            os.kill(candidate, signal.SIGKILL)
            os.waitpid(candidate, 0)
        except OSError:
            pass


def _run_pytest(judge: Judge, reports: Reports, task: dict[str, Any], scope: dict[str, Any]) -> None:
    sys.modules["solution"] = Solution(judge)
    stand_in = _make_module("pytest")
    if task["python"] == sys.version:
        exec(marshal.loads(binascii.a2b_base64(task["compiled"])), stand_in)
    else:
        exec(compile(task["pytest"], "<pytest>", "exec", dont_inherit=True), stand_in)
    tests = stand_in["collect"](task["sources"][0], scope, judge, Unsupported)[: task["max_tests"]]
    reports.write(total=len(tests))
    for number, test in enumerate(tests):
        run_one(judge, reports, number, test)
