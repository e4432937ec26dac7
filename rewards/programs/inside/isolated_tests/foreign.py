"""Objects of the tests as the candidate sees them: functions, iterators, and the tests' own classes with their instances."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Callable
from typing import Any

OPERATORS: dict[str, Callable[..., Any]] = {
    **{
        f"__{each.__name__}__": each
        for each in (abs, bool, float, hash, int, iter, len, next, repr, reversed, round, str, format)
    },
    **{
        f"__{name}__": lambda value, *args, name=name: getattr(value, f"__{name}__")(*args)
        for name in (
            *("call", "contains", "delitem", "getitem", "setitem", "enter", "eq", "ne", "lt", "le", "gt", "ge", "index", "neg"),
            *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "radd", "rsub", "rmul", "rtruediv"),
        )
    },
    "__exit__": lambda value, *_: value.__exit__(None, None, None),
}
"""Special methods of a test's object that the candidate may use."""


BASES = (int, float, str, bytes, tuple, frozenset)
"""Immutable built-in types: an instance of a test's class derived from one has the same value in the candidate's process."""


def describe_class(kind: type, give: Callable[[Any], int], modules: tuple[str, ...]) -> list[Any]:
    """Return the parts of a test's class for `Mirrors`: number, name, special methods, fields of a dataclass, bases.

    A base is the name of a built-in type, or the parts of another class of the tests.
    """
    operators = [name for name in OPERATORS if _find(kind, name) not in (None, object.__dict__.get(name))]
    fields = [each.name for each in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else None
    bases: list[Any] = []
    for each in kind.__bases__:
        if each.__module__ in modules:
            bases.append(describe_class(each, give, modules))
        elif each.__module__ == "builtins" and issubclass(each, (*BASES, BaseException)):
            bases.append(each.__name__)
    return [give(kind), kind.__name__, operators, fields, bases]


def _find(kind: type, name: str) -> Any:
    return next((each.__dict__[name] for each in kind.__mro__ if name in each.__dict__), None)


FUNCTION_ATTRIBUTES = ("__signature__", "__annotations__", "__defaults__", "__kwdefaults__")
"""What decorators of the candidate may read of a test's function."""


class Callback:
    """A function or iterator that a test passed to the candidate."""

    __slots__ = ("__dict__", "number", "peer")

    def __init__(self, peer: Any, number: int, name: str | None = None, doc: str | None = None) -> None:
        self.peer, self.number = peer, number
        if name is not None:  # for decorators
            self.__name__ = self.__qualname__ = name
            self.__doc__ = doc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.peer.ask("callback", self.number, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTION_ATTRIBUTES:
            raise AttributeError(name)
        return self.peer.ask("function", self.number, name)

    def __iter__(self) -> Callback:
        return self

    def __next__(self) -> Any:
        return self.peer.ask("step", self.number)


class Mirror(type):
    """The type of classes that stand for classes of the tests."""

    _mirrors: Mirrors
    _number: int

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._mirrors.peer.ask("callback", cls._number, args, kwargs)

    def __getattr__(cls, name: str) -> Any:
        return cls._mirrors.peer.ask("member", cls._number, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._mirrors.peer.ask("assign", cls._number, name, value)


class Foreign:
    """An instance of a class that the tests define. It stays in their process."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return _ask(self, "member", name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):  # set by Python while an exception is raised
            object.__setattr__(self, name, value)
        else:
            _ask(self, "assign", name, value)

    def __copy__(self) -> Any:
        return _ask(self, "copy", "copy")

    def __deepcopy__(self, memo: Any) -> Any:
        return _ask(self, "copy", "deepcopy")

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return _ask(self, "members", "")


def _ask(value: Any, question: str, *args: Any) -> Any:
    mirrors = type(value)._mirrors
    return mirrors.peer.ask(question, mirrors.numbers[id(value)], *args)


class Mirrors:
    """Creates the classes and their instances in the candidate's process, one of each."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.numbers: dict[int, int] = {}
        self._classes: dict[int, Any] = {}
        self._instances: dict[int, Any] = {}

    def make_class(self, number: int, name: str, operators: list[str], fields: list[str] | None, bases: list[Any]) -> Any:
        if number not in self._classes:
            known = {each.__name__: each for each in BASES}
            kinds = [
                self.make_class(*each) if isinstance(each, list) else known.get(each) or getattr(builtins, each)
                for each in bases
            ]
            contents: dict[str, Any] = {each: _make_operator(each) for each in operators}
            contents |= {"__slots__": (), "_mirrors": self, "_number": number}
            if fields is not None:
                contents["__dataclass_fields__"] = dataclasses.make_dataclass(name, fields).__dict__["__dataclass_fields__"]
            is_derived = any(issubclass(each, Foreign) for each in kinds)
            self._classes[number] = Mirror(name, (*([] if is_derived else [Foreign]), *kinds), contents)
        return self._classes[number]

    def make_instance(self, number: int, parts: list[Any]) -> Any:
        if number not in self._instances:
            kind = self.make_class(*parts)
            base = next((each for each in BASES if issubclass(kind, each)), None)
            if base is not None:
                value = base.__new__(kind, self.peer.ask("plain", number))
            else:
                value = (BaseException if issubclass(kind, BaseException) else object).__new__(kind)
            self._instances[number] = value
            self.numbers[id(value)] = number
        return self._instances[number]

    def find_number(self, value: Any) -> int | None:
        """Return the number of the tests' class or instance that a value stands for, or None."""
        if type(value) is Mirror:
            return value._number
        return self.numbers.get(id(value)) if type(type(value)) is Mirror else None


def _make_operator(name: str) -> Any:
    def act(self: Any, *args: Any) -> Any:
        return _ask(self, "operate", name, args if name != "__exit__" else ())

    return act
