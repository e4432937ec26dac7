"""The candidate's objects, as tests see them."""

from __future__ import annotations

import builtins
import operator
from typing import TYPE_CHECKING, Any

from rewards.programs.inside.isolated_tests.built_ins import keep_built_ins
from rewards.programs.inside.isolated_tests.kinds import MAKE
from rewards.programs.inside.isolated_tests.questions import ARITHMETIC, ORDER

if TYPE_CHECKING:
    from rewards.programs.inside.isolated_tests.tests_process import Judge

keep_built_ins(globals())

# Questions that a value of built-in type answers honestly and that another could answer as it likes.
_PREDICATES = {"startswith", "endswith", "issubset", "issuperset", "isdisjoint", "match", "fullmatch", "search", "equals"}
_FORWARDED = {"__name__", "__doc__", "__qualname__", "__dict__", "__wrapped__", "__annotations__"}


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
        return iter(self._remote_plain()) if self._remote_kind in MAKE else self._remote_ask("iter")

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

    for name in ORDER:
        setattr(Remote, f"__{name}__", forward(name, reflected=False))
    for name in ARITHMETIC:
        dunder = name.rstrip("_")
        setattr(Remote, f"__{dunder}__", forward(name, reflected=False))
        setattr(Remote, f"__r{dunder}__", forward(name, reflected=True))
    for name in ("neg", "pos", "invert", "abs", "round"):
        setattr(Remote, f"__{name}__", turn(name))


_add_operators()
