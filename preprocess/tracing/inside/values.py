"""Values as source text that gives them back."""

from __future__ import annotations

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost every run
    from collections.abc import Iterable
    from typing import Any

# What a program does to the built-in functions does not reach this file.
globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})

_DEEPEST = 40


class NoLiteralError(Exception):
    """A value that is not plain data, or too long."""


def literal(value: Any, longest: int) -> str:
    """The value as source text of at most `longest` characters. Nothing of the program's runs.

    Raises:
        NoLiteralError: it has none.
    """
    text = _write(value, longest, 0)
    if len(text) > longest:
        raise NoLiteralError(f"longer than {longest} characters")
    return text


def _write(value: Any, room: int, depth: int) -> str:
    # Types are compared by `is`: a class's class may say that it is equal to whatever it likes.
    kind = type(value)
    if kind is int:
        if value.bit_length() > 4 * room + 4:
            raise NoLiteralError(f"longer than {room} characters")
        return repr(value)
    if kind is str or kind is bytes:
        if len(value) > room:
            raise NoLiteralError(f"longer than {room} characters")
        return repr(value)
    if kind is bool or value is None:
        return repr(value)
    if kind is float:
        if value != value:
            raise NoLiteralError("nan has no literal")
        return repr(value) if value - value == 0 else f"float('{value!r}')"
    if kind is complex:
        if (value - value) != 0:
            raise NoLiteralError(f"{value!r} has no literal")
        return repr(value)
    if kind is list:
        return f"[{', '.join(_write_all(value, room, depth))}]"
    if kind is tuple:
        return f"({', '.join(_write_all(value, room, depth))}{',' if len(value) == 1 else ''})"
    if kind is dict:
        keys, values = _write_all(value, room, depth), _write_all(value.values(), room, depth)
        return "{" + ", ".join([f"{key}: {each}" for key, each in zip(keys, values)]) + "}"  # noqa: B905 (of one length)
    if kind is set:
        # Their order means nothing, and differs from run to run.
        return "{" + ", ".join(sorted(_write_all(value, room, depth))) + "}" if value else "set()"
    if kind is frozenset:
        return "frozenset({" + ", ".join(sorted(_write_all(value, room, depth))) + "})" if value else "frozenset()"
    raise NoLiteralError(f"{_describe(kind)} is not plain data")


def _write_all(values: Iterable[Any], room: int, depth: int) -> list[str]:
    if depth > _DEEPEST:
        raise NoLiteralError("nested too deep")
    texts = []
    for value in values:
        text = _write(value, room, depth + 1)
        room -= len(text) + 2
        if room < -2:
            raise NoLiteralError("longer than it may be")
        texts.append(text)
    return texts


def _describe(kind: type) -> str:
    name = str(type.__dict__["__name__"].__get__(kind))
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
