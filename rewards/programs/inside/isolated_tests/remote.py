"""The candidate's objects as the tests see them."""

from __future__ import annotations

import builtins
import functools
import operator
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests.codec import MAKE
from rewards.programs.inside.isolated_tests.peer import Peer

ORDER = ("lt", "le", "gt", "ge")
ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift")
# Predicates that are reliable only for built-in types: a class of the program could return anything.
_PREDICATES = {"startswith", "endswith", "issubset", "issuperset", "isdisjoint", "match", "fullmatch", "search", "equals"}
_FORWARDED_ATTRIBUTES = {"__name__", "__doc__", "__qualname__", "__dict__", "__wrapped__", "__annotations__", "__defaults__"}
_FORWARDED_ATTRIBUTES |= {"__members__", "__mro__", "__bases__", "__abstractmethods__", "__dataclass_fields__"}
_UNCONVERTED = "abs ceil delattr delitem floor trunc getitem invert neg next pos reversed round setattr setitem"
_NUMBERS = {"abs", "bool", "ceil", "complex", "float", "floor", "index", "int", "round", "trunc"}
# Special method -> the type that its result must have.
_FORWARDED_METHODS: dict[str, Callable[[Any], Any] | None] = {
    **dict.fromkeys(_UNCONVERTED.split()),
    **{kind.__name__: kind for kind in (complex, float, int, str)},
    "bytes": bytes,
    **dict.fromkeys(("format", "repr"), str),
    **dict.fromkeys(("index", "len"), operator.index),
    "dir": list,
}
TEST_FILES = ("<tests>", "<test>")
"""File names of compiled tests."""
_IMMUTABLE = ("str", "bytes", "int", "float", "tuple", "frozenset")


class Remote:
    """A proxy for an object of the candidate.

    It never equals a plain value, unless its class derives from a built-in type; then its plain value is compared in the
    tests' process. Only an object that the test created by calling a class of the program (a capitalized name) is ordered,
    and searched with `in`, by its own operators, because then these operators are under test. A method that returns such an
    object returns a value like any other. Two objects of the program are compared by their own operators.
    """

    __slots__ = tuple(
        f"_remote_{name}" for name in ("base", "kind", "local", "made", "name", "number", "peer", "shown", "tainted")
    )

    def __init__(self, peer: Peer, number: int, kind: str) -> None:
        # `kind` is the built-in type that the object's class derives from, or empty.
        parts = {"peer": peer, "number": number, "made": False, "name": "", "base": None, "local": None, "tainted": False}
        parts |= {"kind": "" if kind in SHOWN else kind, "shown": SHOWN.get(kind)}
        for name, value in parts.items():
            object.__setattr__(self, f"_remote_{name}", value)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        shown = self._remote_local or self._remote_shown
        return shown or (getattr(builtins, self._remote_kind) if self._remote_kind else Remote)

    def _remote_ask(self, question: str, *args: Any) -> Any:
        if self._remote_tainted and question in _NUMBERS:
            raise TypeError("a difference that the program computed from a plain value is not a number")
        return self._remote_peer.ask(question, self, *args)

    def _remote_decide(self, question: str, other: Any) -> Any:
        return self._remote_peer.ask("decide", question, self, other)

    def _remote_mark(self, **marks: Any) -> Remote:
        """Return another proxy for the same object, with marks."""
        copied = Remote(self._remote_peer, self._remote_number, self._remote_kind)
        for name in ("shown", "local", "name"):
            object.__setattr__(copied, f"_remote_{name}", getattr(self, f"_remote_{name}"))
        for name, value in marks.items():
            object.__setattr__(copied, f"_remote_{name}", value)
        return copied

    def _remote_keep(self, value: Any) -> Any:
        """Return this proxy if the value is the same object, to keep its marks, else the value."""
        return self if type(value) is Remote and value._remote_number == self._remote_number else value

    def _remote_plain(self) -> Any:
        if not self._remote_kind:
            raise TypeError("an object of the program is not a plain value")
        if self._remote_base is None or self._remote_kind in ("list", "dict", "set", "bytearray"):
            object.__setattr__(self, "_remote_base", self._remote_ask("plain"))
        return self._remote_base

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in _FORWARDED_ATTRIBUTES:
            raise AttributeError(name)
        if self._remote_kind in _IMMUTABLE and hasattr(getattr(builtins, self._remote_kind), name):
            return getattr(self._remote_plain(), name)
        value = self._remote_ask("getattr", name)
        return _limit(value) if name in _PREDICATES and not self._remote_made else value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value = self._remote_ask("call", args, kwargs)
        return value._remote_mark(made=True) if type(value) is Remote and self._remote_name[:1].isupper() else value

    def __eq__(self, other: object) -> Any:
        if type(other) is Remote:
            if self._remote_number == other._remote_number:
                return True
            if not (self._remote_kind and other._remote_kind):
                return self._remote_decide("eq", other) is True
            return bool(self._remote_plain() == other._remote_plain())
        if self._remote_kind:
            return self._remote_plain() == other
        return False if _is_plain(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        if type(other) is not Remote and not self._remote_kind and _is_plain(other):
            # That the object equals the value is not for the program to say. That it differs is.
            if self._remote_decide("ne", other) is not True:
                raise TypeError("an object of the program cannot claim to equal a plain value")
            return True
        same = self.__eq__(other)
        return same if same is NotImplemented else not same

    def __hash__(self) -> int:
        return int(self._remote_ask("hash"))

    def __contains__(self, item: object) -> bool:
        if self._remote_made or type(item) is Remote:
            return self._remote_decide("contains", item) is True
        return item in self._remote_plain() if self._remote_kind else any(item is each or item == each for each in self)

    def __iter__(self) -> Any:
        return iter(self._remote_plain()) if self._remote_kind in MAKE else self._remote_ask("iter")

    def __bool__(self) -> bool:
        return self._remote_ask("bool") is True

    def __enter__(self) -> Any:
        return self._remote_keep(self._remote_ask("enter"))

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if error is None:
            self._remote_ask("exit", None)
            return False
        name, text, number = self._remote_peer.describe(error, None)
        suppressed = self._remote_ask("exit", [name, "" if isinstance(error, AssertionError) else text, number]) is True
        # The object may suppress what the test raises on purpose, but not a failed assertion or an error of the program.
        while trace.tb_next:
            trace = trace.tb_next
        return suppressed and not isinstance(error, AssertionError) and trace.tb_frame.f_code.co_filename in TEST_FILES

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        # A function of the program that decorates a method of a test's class, for example.
        if instance is None or self._remote_shown is not SHOWN["function"]:
            return self
        return functools.partial(self, instance)

    def __instancecheck__(self, value: object) -> bool:
        return type(value) is Remote and self._remote_peer.ask("isinstance", value, self) is True

    def __subclasscheck__(self, kind: object) -> bool:
        return self._remote_peer.ask("issubclass", kind, self) is True

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return (self._remote_peer.subclassing.make_base(self),)

    def __copy__(self) -> Any:
        return self._remote_duplicate("copy")

    def __deepcopy__(self, memo: Any) -> Any:
        return self._remote_duplicate("deepcopy")

    def _remote_duplicate(self, question: str) -> Any:
        value = self._remote_ask(question)
        return value._remote_mark(made=self._remote_made) if type(value) is Remote else value


SHOWN = {"generator": type(_ for _ in ()), "function": type(lambda: None), "type": type}
"""Types that are not built-in values, but that tests can see: name in messages -> type."""


def _is_plain(value: object) -> bool:
    """Check for a value that no class of the tests defines."""
    return type(value).__module__ not in ("test_solution", "prelude")


def _limit(method: Any) -> Any:
    """Return a method of a built-in type's name, whose answer about a plain value does not count."""

    def call(*args: Any, **kwargs: Any) -> Any:
        value = method(*args, **kwargs)
        if isinstance(value, bool):
            raise TypeError("an object that is not a built-in value does not decide about a plain value")
        return value._remote_mark(tainted=True) if type(value) is Remote else value

    return call


def _make_attribute(name: str) -> property:
    return property(lambda self: self._remote_ask("getattr", name))


def _forward(question: str, convert: Callable[[Any], Any] | None) -> Any:
    def act(self: Remote, *args: Any) -> Any:
        value = self._remote_ask(question, *args)
        return convert(value) if convert else value

    return act


def _order(question: str) -> Any:
    def act(self: Remote, other: Any) -> Any:
        if type(other) is Remote or self._remote_made:
            return self._remote_decide(question, other)
        if not self._remote_kind:
            return NotImplemented
        return getattr(operator, question)(self._remote_plain(), other)

    return act


def _compute(question: str, reflected: bool = False) -> Any:
    def act(self: Remote, other: Any) -> Any:
        asked = f"r{question}" if reflected else question
        if type(other) is Remote:
            value = self._remote_ask(asked, other)
            tainted = self._remote_tainted or other._remote_tainted
        elif self._remote_made:
            is_difference = question == "sub"
            value = self._remote_peer.ask("difference", asked, self, other) if is_difference else self._remote_ask(asked, other)
            tainted = is_difference
        elif self._remote_kind:
            operate, mine = getattr(operator, question), self._remote_plain()
            return operate(other, mine) if reflected else operate(mine, other)
        else:
            # The result may be an object, such as a scaled vector, but not a number: it could be a difference of 0.
            value, tainted = self._remote_ask(asked, other), True
            if type(value) is not Remote or value._remote_kind:
                return NotImplemented
        return value._remote_mark(tainted=True) if tainted and type(value) is Remote else value

    return act


def _divide(question: str) -> Any:
    def act(self: Remote, other: Any) -> Any:
        is_decided = type(other) is Remote or self._remote_made
        return self._remote_ask(question, other) if is_decided else NotImplemented

    return act


def _compute_in_place(question: str) -> Any:
    def act(self: Remote, other: Any) -> Any:
        if not self._remote_made:
            return NotImplemented
        return self._remote_keep(self._remote_ask(f"i{question}", other))

    return act


setattr(Remote, "__divmod__", _divide("divmod"))  # noqa: B010 (typed as a class without it)
# An instance must not find the attributes of the class above.
for _name in ("__doc__", "__slots__"):
    setattr(Remote, _name, _make_attribute(_name))
for _name, _convert in _FORWARDED_METHODS.items():
    setattr(Remote, f"__{_name}__", _forward(_name, _convert))
for _name in ORDER:
    setattr(Remote, f"__{_name}__", _order(_name))
for _name in ARITHMETIC:
    setattr(Remote, f"__{_name.rstrip('_')}__", _compute(_name))
    setattr(Remote, f"__i{_name.rstrip('_')}__", _compute_in_place(_name.rstrip("_")))
    setattr(Remote, f"__r{_name.rstrip('_')}__", _compute(_name, reflected=True))
