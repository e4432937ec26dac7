"""Classes that tests derive from classes of the candidate.

For each, the candidate's process has a subclass whose methods call the tests' functions, which stay in the tests' process. The
tests' process has a class with the same methods, so that `super()` works; its instances are the candidate's objects.
"""

from __future__ import annotations

import abc
import types
from typing import Any

from rewards.programs.inside.isolated_tests.remote import Remote

_OWN = {"__module__", "__qualname__", "__classcell__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__slots__"}
_OWN |= {"__class__", "__new__", "__init_subclass__", "__subclasshook__", "__getattribute__", "__dir__", "__reduce__"}
_OWN |= {"__reduce_ex__", "__getstate__", "__sizeof__", "__abstractmethods__", "_abc_impl", "__parameters__", "__hash__"}
_OWN |= {"__orig_bases__", "__static_attributes__", "__firstlineno__"}


class Subclassing:
    """Creates the classes, and knows them by the number of the candidate's class."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.classes: dict[int, type] = {}
        self._bases: dict[int, type] = {}

    def make_base(self, base: Remote) -> type:
        """Return the class that stands for a class of the candidate among the bases of a test's class."""
        number = base._remote_number
        if number not in self._bases:
            contents = {
                name: property(_inherit(self.peer, name)) if kind == "property" else _inherit_method(self.peer, name)
                for name, kind in self.peer.ask("members", base)
                if name not in _OWN
            }
            self._bases[number] = Derived(str(self.peer.ask("getattr", base, "__name__")), (), {**contents, "_solution": base})
        return self._bases[number]

    def derive(self, kind: Any) -> Remote:
        """Create the candidate's subclass for a test's class."""
        bases = [next((each for each in base.__mro__ if "_solution" in each.__dict__), None) for base in kind.__bases__]
        solutions = [each.__dict__["_solution"] for each in dict.fromkeys(bases) if each is not None]
        own = [each for each in reversed(kind.__mro__) if each is not object and "_solution" not in each.__dict__]
        methods: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in (item for each in own for item in each.__dict__.items()):
            if name in _OWN and name != "__hash__":
                continue
            if isinstance(value, types.FunctionType):
                methods[name] = _receive(kind, value)
            elif isinstance(value, property):
                others[name] = ["property", [each and _receive(kind, each) for each in (value.fget, value.fset, value.fdel)]]
            elif isinstance(value, (staticmethod, classmethod)):
                others[name] = ["static" if isinstance(value, staticmethod) else "class", value.__func__]
            else:
                others[name] = ["", value]
        found: Remote = self.peer.ask("derive", kind.__name__, solutions, methods, others)
        self.classes[found._remote_number] = kind
        return found


class Derived(abc.ABCMeta):
    """The type of the classes that tests derive, and of the classes that stand for their bases."""

    _solution: Remote

    def __init__(cls, name: str, bases: tuple[type, ...], contents: dict[str, Any], **_: Any) -> None:
        super().__init__(name, bases, contents)
        if "_solution" not in contents:
            base = next(each.__dict__["_solution"] for each in cls.__mro__ if "_solution" in each.__dict__)
            cls._solution = base._remote_peer.subclassing.derive(cls)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        value = cls._solution._remote_ask("call", args, kwargs)
        return value._remote_mark(made=True, local=cls) if type(value) is Remote else value

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(cls._solution, name)

    def __instancecheck__(cls, value: Any) -> bool:
        return type(value) is Remote and cls._solution.__instancecheck__(value)


def _receive(kind: type, function: Any) -> Any:
    """Return a function that calls a test's method for an object of the candidate."""

    def act(self: Any, *args: Any, **kwargs: Any) -> Any:
        if type(self) is Remote and not issubclass(self._remote_local or object, kind):
            object.__setattr__(self, "_remote_local", kind)
        return function(self, *args, **kwargs)

    return act


def _inherit_method(peer: Any, name: str) -> Any:
    def act(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _inherit(peer, name)(self, *args, **kwargs)

    return act


def _inherit(peer: Any, name: str) -> Any:
    """Return a function that calls the method of the candidate's class, below the classes of the tests."""

    def act(self: Any, *args: Any, **kwargs: Any) -> Any:
        derived = peer.subclassing.classes.values()
        lowest = [each for each in self._remote_local.__mro__ if each in derived][-1]
        return peer.ask("inherited", lowest.__dict__["_solution"], self, name, args, kwargs)

    return act
