"""The end of the pipes in the candidate's process: holds its objects and answers questions about them."""

from __future__ import annotations

import builtins
import io
import operator
import sys
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests.codec import BUILT_IN, TYPES, Decoder, Encoder, find_classes
from rewards.programs.inside.isolated_tests.peer import Peer
from rewards.programs.inside.isolated_tests.remote import ARITHMETIC, ORDER

_MOST_PRINTED = 1_000_000
# Operations that the tests' process requests on objects of this one.
_QUESTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in (*ORDER, *ARITHMETIC, "eq", "ne", "neg", "pos", "invert", "contains")},
    **{name: getattr(operator, name) for name in ("getitem", "setitem", "delitem", "index")},
    **{f"r{name}": lambda a, b, name=name: _QUESTIONS[name](b, a) for name in ARITHMETIC},
    **{each.__name__: each for each in (abs, bool, float, hash, int, iter, len, next, repr, reversed, round, str, format)},
    **{each.__name__: each for each in (getattr, setattr, delattr, isinstance, issubclass, dir, divmod, complex)},
    "enter": lambda value: type(value).__enter__(value),
    "exit": lambda value, text: type(value).__exit__(value, *((Exception, Exception(text), None) if text else (None,) * 3)),
}


def make_module(name: str) -> dict[str, Any]:
    """Create a module and return its namespace. Dataclasses and others look up the module of a class by name."""
    module = type(sys)(name)
    sys.modules[name] = module
    return module.__dict__


class CandidatePeer(Peer):
    """The end of the pipes in the candidate's process. Its answers are untrusted, and no expected value is in its process."""

    def __init__(self, reader: int, writer: int, scope: dict[str, Any], task: dict[str, Any]) -> None:
        super().__init__(reader, writer, find_classes(scope))
        self._held: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._function = task["function"]
        self._printed = io.StringIO()
        sys.stdout = self._printed
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

    def export(self, value: Any) -> Any:
        if isinstance(value, Callback):
            return ["k", value.number]
        if isinstance(value, type):
            if value in TYPES:
                return ["n", "builtins", value.__name__]
            if issubclass(value, BaseException):
                return self._export_error_class(value)
        if isinstance(value, Reference):
            return ["o", self.hold(value.value), ""]
        for kind in (*BUILT_IN, type(_ for _ in ())):
            if isinstance(value, kind):
                return ["o", self.hold(value), kind.__name__]
        return ["o", self.hold(value), ""]

    def _export_error_class(self, kind: type) -> Any:
        if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
            return ["n", kind.__module__, kind.__qualname__]
        return ["x", self.hold(kind), kind.__name__, *map(self._export_error_class, kind.__bases__)]

    def resolve(self, data: list[Any]) -> Any:
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
        except BaseException:
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
            return Reference(value) if own else value
        if question == "rename":
            return self.namespace.__setitem__(args[0], args[1])
        if question == "patch":
            return setattr(__import__(args[0], fromlist=["_"]), args[1], args[2])
        if question == "plain":
            kinds: tuple[Any, ...] = BUILT_IN
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


class Reference:
    """A function or class that is never copied, not even a built-in one, so that every call reaches the candidate."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Callback:
    """A function or iterator that a test passed to the candidate."""

    def __init__(self, peer: Peer, number: int) -> None:
        self.peer, self.number = peer, number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.peer.ask("callback", self.number, args, kwargs)

    def __iter__(self) -> Callback:
        return self

    def __next__(self) -> Any:
        return self.peer.ask("step", self.number)
