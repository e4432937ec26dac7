"""The end of the pipes in the candidate's process: holds its objects and answers questions about them."""

from __future__ import annotations

import builtins
import copy
import inspect
import io
import math
import operator
import os
import sys
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests.codec import BUILT_IN, Decoder, Encoder, find_classes, take_plain
from rewards.programs.inside.isolated_tests.foreign import Callback, Mirrors
from rewards.programs.inside.isolated_tests.peer import Peer
from rewards.programs.inside.isolated_tests.remote import ARITHMETIC, ORDER

_MOST_PRINTED = 1_000_000
_GENERATOR = type(_ for _ in ())
_FUNCTION = type(lambda: None)
_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
# Operations that the tests' process requests on objects of this one.
_QUESTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in (*ORDER, *ARITHMETIC, "eq", "ne", "neg", "pos", "invert", "contains")},
    **{name: getattr(operator, name) for name in ("getitem", "setitem", "delitem", "index")},
    **{f"i{name.rstrip('_')}": getattr(operator, f"i{name.rstrip('_')}") for name in ARITHMETIC},
    **{f"r{name}": lambda a, b, name=name: _QUESTIONS[name](b, a) for name in ARITHMETIC},
    **{each.__name__: each for each in (abs, bool, float, hash, int, iter, len, next, repr, reversed, round, str, format)},
    **{each.__name__: each for each in (getattr, setattr, delattr, isinstance, issubclass, dir, divmod, complex, callable)},
    "hasattr": hasattr,
    "bytes": bytes,
    "floor": math.floor,
    "ceil": math.ceil,
    "trunc": math.trunc,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "type": type,
    "enter": lambda value: type(value).__enter__(value),
}


def make_module(name: str) -> dict[str, Any]:
    """Create a module and return its namespace. Dataclasses and others look up the module of a class by name."""
    module = type(sys)(name)
    sys.modules[name] = module
    return module.__dict__


class CandidatePeer(Peer):
    """The end of the pipes in the candidate's process. Its answers are untrusted, and no expected value is in its process."""

    shared_tag = "l"

    def __init__(self, reader: int, writer: int, scope: dict[str, Any], task: dict[str, Any]) -> None:
        super().__init__(reader, writer, find_classes(scope))
        self._held: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._mirrors = Mirrors(self)
        self._callbacks: dict[int, Callback] = {}
        self._function = task["function"]
        self._patched: dict[tuple[str, str], Any] = {}
        self._printed = (io.StringIO(), io.StringIO())
        sys.stdout, sys.stderr = self._printed
        self.namespace = make_module("solution")
        # The program must define what is tested: a prelude with `from math import *` must not provide `factorial`.
        given = {name: value for name, value in scope.items() if not name.startswith("__") and name not in task["tested"]}
        self.namespace.update(given)
        exec(compile(task["code"], "<solution>", "exec", dont_inherit=True), self.namespace)
        # The program may redefine a class of the prelude, and then expects instances of its own class.
        for kind, name in list(self.classes.items()):
            redefined = self.namespace.get(name)
            if isinstance(redefined, type) and redefined is not kind:
                self.classes[redefined] = name

    def find_class(self, name: str) -> type:
        found = self.namespace.get(name)
        return found if isinstance(found, type) and self.classes.get(found) == name else super().find_class(name)

    def hold(self, value: Any) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._held)
            self._held.append(value)
        return number

    def find_held(self, number: int) -> Any:
        return self._held[number]

    def list_held(self, encoder: Encoder) -> dict[str, int]:
        return self.number_nodes(encoder, self.hold)

    def export(self, value: Any) -> Any:
        if isinstance(value, Callback):
            return ["k", value.number]
        if (number := self._mirrors.find_number(value)) is not None:
            return ["k", number]
        if isinstance(value, Reference):
            named = [each for each in (type, _FUNCTION) if isinstance(value.value, each)]
            return ["o", self.hold(value.value), named[0].__name__ if named else ""]
        if isinstance(value, type):
            return self._export_error_class(value) if issubclass(value, BaseException) else ["o", self.hold(value), "type"]
        for kind in (*BUILT_IN, _GENERATOR, _FUNCTION):
            if isinstance(value, kind):
                return ["o", self.hold(value), kind.__name__]
        return ["o", self.hold(value), ""]

    def _export_error_class(self, kind: type) -> Any:
        if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
            return ["n", kind.__module__, kind.__qualname__]
        return ["x", self.hold(kind), kind.__name__, *map(self._export_error_class, kind.__bases__)]

    def resolve(self, data: list[Any]) -> Any:
        tag = data[0]
        if tag == "o":
            return self._held[data[1]]
        if tag == "h":
            return self._shared[data[1]][0]
        if tag == "k":
            if data[1] not in self._callbacks:
                self._callbacks[data[1]] = Callback(self, *data[1:])
            return self._callbacks[data[1]]
        if tag == "p":
            return self._mirrors.make_instance(data[1], data[2])
        if tag == "m":
            return self._mirrors.make_class(*data[1])
        if tag == "n":
            __import__(data[1])
            return getattr(sys.modules[data[1]], data[2])
        raise ValueError(data)

    def describe(self, error: BaseException, encoder: Encoder) -> Any:
        if (number := self._mirrors.find_number(error)) is not None:
            return number
        try:
            text, args = str(error), [encoder.item(each) for each in error.args]
        except BaseException:
            text, args = "", []
        cause = error.__cause__
        described = self.describe(cause, encoder) if cause is not None and cause.__cause__ is None else None
        return [self._export_error_class(type(error)), args, text, self.hold(error), described]

    def make_error(self, data: Any, decoder: Decoder | None = None) -> BaseException:
        if data[0] == "p":
            raised: BaseException = self.resolve(data)
            return raised
        name, text, number = data
        if number is not None:
            held = self._held[number]
            error: BaseException = held(text) if isinstance(held, type) else held
        else:
            error = getattr(builtins, name, Exception)(text)
        return error

    def take_printed(self) -> list[str]:
        texts = [stream.getvalue()[:_MOST_PRINTED] for stream in self._printed]
        for stream in self._printed:
            stream.seek(0)
            stream.truncate()
        return texts if any(texts) else []

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
            return Reference(value) if own else value
        if question == "rename":
            return self.namespace.__setitem__(args[0], args[1])
        if question == "patch":
            module = __import__(args[0], fromlist=["_"])
            self._patched.setdefault((args[0], args[1]), getattr(module, args[1]))
            return setattr(module, args[1], args[2])
        if question == "unpatch":
            return setattr(sys.modules[args[0]], args[1], self._patched.pop((args[0], args[1])))
        if question == "environment":
            os.environ.pop(args[0], None)
            return os.environ.update({} if args[1] is None else {args[0]: args[1]})
        if question == "plain":
            return next(take_plain(kind, args[0]) for kind in BUILT_IN if isinstance(args[0], kind))
        if question == "exit":
            error = args[1] and self.make_error(args[1])
            return type(args[0]).__exit__(args[0], error and type(error), error, None)
        if question == "setattr" and isinstance(args[0], type) and isinstance(args[2], Callback):
            return setattr(args[0], args[1], _make_method(args[2]))
        if question == "decide":
            return _decide(*args)
        if question == "difference":
            return _subtract(*args)
        if question == "library":
            return getattr(__import__(args[0]), args[1])(*args[2], **args[3])
        if question == "members":
            return _list_members(args[0])
        if question == "derive":
            return _derive(*args)
        if question == "inherited":
            value = getattr(super(args[0], args[1]), args[2])
            return value(*args[3], **args[4]) if callable(value) else value
        if question == "error":
            error = args[0](*args[1], **args[2])
            return [list(error.args), str(error), self.hold(error)]
        return _QUESTIONS[question](*args)

    def _find_function(self) -> Any:
        owner, dot, name = self._function.rpartition("().")
        if dot:
            return getattr(self.namespace[owner](), name)
        if name in self.namespace or "Solution" not in self.namespace:
            owner, dot, method = name.rpartition(".")
            return getattr(self.namespace[owner], method) if dot else self.namespace[name]
        return getattr(self.namespace["Solution"](), name)


class Reference:
    """A function or class that is never copied, not even a built-in one, so that every call reaches the candidate."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _decide(question: str, a: Any, b: Any) -> Any:
    """Compare two values by the program's own operator. An operator that accepts everything is an error."""
    answer = _QUESTIONS[question](a, b)
    if question in ("eq", "ne") or isinstance(answer, int):
        answer = bool(answer)  # an operator may return any true value
    if answer is not True:
        return answer
    stranger = object()
    if question == "contains":
        lies = _is_true("contains", a, stranger)
    else:
        lies = _is_true(_OPPOSITE[question], a, b) or (question == "eq" and _is_true("eq", a, stranger))
    if lies:
        raise TypeError(f"the operator {question} of a {type(a).__name__} accepts everything")
    return True


def _is_true(question: str, a: Any, b: Any) -> bool:
    try:
        return bool(_QUESTIONS[question](a, b))
    except Exception:
        return False


def _subtract(question: str, a: Any, b: Any) -> Any:
    """Subtract with the program's own operator, whose results must differ for different numbers."""
    result = _QUESTIONS[question](a, b)
    if isinstance(result, (int, float)) and isinstance(b, (int, float)) and result == _QUESTIONS[question](a, b + 1):
        raise TypeError(f"the operator {question} of a {type(a).__name__} ignores its operand")
    return result


def _list_members(kind: type) -> list[list[str]]:
    """Return the names of a class's methods and properties for calls of `super()`."""
    members = []
    for name in dir(kind):
        value = inspect.getattr_static(kind, name)
        if isinstance(value, property):
            members.append([name, "property"])
        elif not isinstance(value, (staticmethod, classmethod)) and callable(value):
            members.append([name, "method"])
    return members


def _derive(name: str, bases: list[type], methods: dict[str, Any], others: dict[str, Any]) -> type:
    """Create a subclass whose methods are functions of the tests. `others` has properties, static methods and values."""
    contents: dict[str, Any] = {key: _make_method(value) for key, value in methods.items()}
    for key, (kind, value) in others.items():
        if kind == "property":
            contents[key] = property(*(each and _make_method(each) for each in value))
        else:
            contents[key] = {"static": staticmethod, "class": classmethod}[kind](_make_method(value)) if kind else value
    return type(bases[0])(name, tuple(bases), contents)


def _make_method(callback: Any) -> Any:
    """Return a function, because a callback does not bind to an instance."""

    def act(*args: Any, **kwargs: Any) -> Any:
        return callback(*args, **kwargs)

    return act
