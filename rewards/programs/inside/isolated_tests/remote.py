"""The candidate's objects as the tests see them."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests.codec import MAKE
from rewards.programs.inside.isolated_tests.peer import Peer

ORDER = ("lt", "le", "gt", "ge")
ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift")
# Predicates that are reliable only for built-in types: a class of the program could return anything.
_PREDICATES = {"startswith", "endswith", "issubset", "issuperset", "isdisjoint", "match", "fullmatch", "search", "equals"}
_FORWARDED_ATTRIBUTES = {"__name__", "__doc__", "__qualname__", "__dict__", "__wrapped__", "__annotations__"}
_UNCONVERTED = "abs delattr delitem enter getitem invert neg next pos reversed round setattr setitem"
# Special method -> the type that its result must have.
_FORWARDED_METHODS: dict[str, Callable[[Any], Any] | None] = {
    **dict.fromkeys(_UNCONVERTED.split()),
    **{kind.__name__: kind for kind in (complex, float, int, str)},
    **dict.fromkeys(("format", "repr"), str),
    **dict.fromkeys(("index", "len"), operator.index),
    "dir": list,
}


class Remote:
    """A proxy for an object of the candidate.

    It never equals a plain value, unless its class derives from a built-in type; then its plain value is compared in the
    tests' process. The candidate's operators and `in` are not used with plain values either, unless the test created the
    object by calling a class of the program (a capitalized name), because then these operators are under test.
    """

    __slots__ = tuple(f"_remote_{name}" for name in ("base", "generator", "kind", "made", "name", "number", "peer"))

    def __init__(self, peer: Peer, number: int, kind: str) -> None:
        # `kind` is the built-in type that the object's class derives from, or empty.
        parts = {"peer": peer, "number": number, "made": False, "name": "", "base": None}
        parts |= {"kind": "" if kind == "generator" else kind, "generator": kind == "generator"}
        for name, value in parts.items():
            object.__setattr__(self, f"_remote_{name}", value)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        if self._remote_generator:
            return type(_ for _ in ())
        return getattr(builtins, self._remote_kind) if self._remote_kind else Remote

    def _remote_ask(self, question: str, *args: Any) -> Any:
        return self._remote_peer.ask(question, self, *args)

    def _remote_plain(self) -> Any:
        if not self._remote_kind:
            raise TypeError("an object of the program is not a plain value")
        if self._remote_base is None or self._remote_kind in ("list", "dict", "set", "bytearray"):
            object.__setattr__(self, "_remote_base", self._remote_ask("plain"))
        return self._remote_base

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in _FORWARDED_ATTRIBUTES:
            raise AttributeError(name)
        if self._remote_kind in ("str", "bytes", "int", "float", "tuple", "frozenset") and hasattr(
            getattr(builtins, self._remote_kind), name
        ):
            return getattr(self._remote_plain(), name)
        if name in _PREDICATES and not self._remote_made:
            raise TypeError(f"{name} is not called on an object that is not a built-in value")
        return self._remote_ask("getattr", name)

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

    def __hash__(self) -> int:
        return int(self._remote_ask("hash"))

    def __contains__(self, item: object) -> bool:
        if self._remote_made or type(item) is Remote:
            return self._remote_ask("contains", item) is True
        return any(item is each or item == each for each in self)

    def __iter__(self) -> Any:
        return iter(self._remote_plain()) if self._remote_kind in MAKE else self._remote_ask("iter")

    def __bool__(self) -> bool:
        return self._remote_ask("bool") is True

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        return self._remote_ask("exit", "" if error is None else str(error) or type(error).__name__) is True and error is None

    def __instancecheck__(self, value: object) -> bool:
        return type(value) is Remote and self._remote_peer.ask("isinstance", value, self) is True

    def __subclasscheck__(self, kind: object) -> bool:
        return type(kind) is Remote and self._remote_peer.ask("issubclass", kind, self) is True


def _forward(question: str, convert: Callable[[Any], Any] | None) -> Any:
    def act(self: Remote, *args: Any) -> Any:
        value = self._remote_ask(question, *args)
        return convert(value) if convert else value

    return act


def _operate(question: str, reflected: bool = False) -> Any:
    def act(self: Remote, other: Any) -> Any:
        if type(other) is not Remote and not self._remote_made:
            if not self._remote_kind:
                return NotImplemented
            mine = self._remote_plain()
            operate = getattr(operator, question)
            return operate(other, mine) if reflected else operate(mine, other)
        value = self._remote_ask(f"r{question}" if reflected else question, other)
        if type(value) is Remote and self._remote_made:
            object.__setattr__(value, "_remote_made", True)
        return value

    return act


for _name, _convert in _FORWARDED_METHODS.items():
    setattr(Remote, f"__{_name}__", _forward(_name, _convert))
for _name in ORDER:
    setattr(Remote, f"__{_name}__", _operate(_name))
for _name in ARITHMETIC:
    setattr(Remote, f"__{_name.rstrip('_')}__", _operate(_name))
    setattr(Remote, f"__r{_name.rstrip('_')}__", _operate(_name, reflected=True))
