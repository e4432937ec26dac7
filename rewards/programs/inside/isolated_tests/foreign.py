"""Objects of the tests as the candidate sees them: functions, iterators, and instances of the tests' own classes."""

from __future__ import annotations

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


def list_operators(kind: type) -> list[str]:
    """Return the special methods that a class of the tests defines."""
    return [name for name in OPERATORS if getattr(kind, name, None) not in (None, getattr(object, name, None))]


class Callback:
    """A function or iterator that a test passed to the candidate."""

    def __init__(self, peer: Any, number: int) -> None:
        self.peer, self.number = peer, number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.peer.ask("callback", self.number, args, kwargs)

    def __iter__(self) -> Callback:
        return self

    def __next__(self) -> Any:
        return self.peer.ask("step", self.number)


class Foreign:
    """An instance of a class that the tests define. It stays in their process."""

    __slots__ = ("_foreign",)

    def __getattr__(self, name: str) -> Any:
        peer, number = self._foreign
        return peer.ask("member", number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        peer, number = self._foreign
        peer.ask("assign", number, name, value)


def make_foreign(peer: Any, number: int, name: str, operators: list[str]) -> Foreign:
    """Return a stand-in for a test's object, of a class with the same name and the same special methods."""
    kind = type(name, (Foreign,), {each: _make_operator(each) for each in operators})
    value: Foreign = object.__new__(kind)
    object.__setattr__(value, "_foreign", (peer, number))
    return value


def _make_operator(name: str) -> Any:
    def act(self: Any, *args: Any) -> Any:
        peer, number = self._foreign
        return peer.ask("operate", number, name, args if name != "__exit__" else ())

    return act
