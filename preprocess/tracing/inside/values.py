"""Write values as source text."""

from __future__ import annotations

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would slow down every run
    from collections.abc import Iterable
    from typing import Any

# The program may replace built-in functions: keep the originals.
globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})

_MAX_DEPTH = 40


class NoLiteralError(Exception):
    """The value is not plain data, or is too long."""


def literal(value: Any, max_chars: int) -> str:
    """Return the source text of a value. No code of the program runs.

    Raises:
        NoLiteralError: the value is not plain data, or its text is longer than `max_chars`.
    """
    text = _write(value, max_chars, 0)
    if len(text) > max_chars:
        raise NoLiteralError(f"longer than {max_chars} characters")
    return text


def _write(value: Any, room: int, depth: int) -> str:
    # Types are compared by `is`: the metaclass of a class may define any `==`.
    kind = type(value)
    if kind is int or kind is str or kind is bytes:
        # Checked before `repr`, which is slow for large values.
        if (value.bit_length() > 4 * room + 4) if kind is int else (len(value) > room):
            raise NoLiteralError(f"longer than {room} characters")
        return repr(value)
    if kind is bool or value is None:
        return repr(value)
    if kind is float or kind is complex:
        is_finite = value - value == 0
        if value != value or not (is_finite or kind is float):
            raise NoLiteralError(f"{value!r} has no literal")
        return repr(value) if is_finite else f"float('{value!r}')"
    if kind is list:
        return f"[{', '.join(_write_all(value, room, depth))}]"
    if kind is tuple:
        return f"({', '.join(_write_all(value, room, depth))}{',' if len(value) == 1 else ''})"
    if kind is dict:
        keys, values = _write_all(value, room, depth), _write_all(value.values(), room, depth)
        return "{" + ", ".join([f"{key}: {each}" for key, each in zip(keys, values)]) + "}"  # noqa: B905 (same length)
    if kind is set or kind is frozenset:
        # Sorted: the order of a set differs from run to run.
        items = "{" + ", ".join(sorted(_write_all(value, room, depth))) + "}" if value else ""
        return f"frozenset({items})" if kind is frozenset else items or "set()"
    name = str(type.__dict__["__name__"].__get__(kind))
    raise NoLiteralError(f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name} is not plain data")


def _write_all(values: Iterable[Any], room: int, depth: int) -> list[str]:
    if depth > _MAX_DEPTH:
        raise NoLiteralError("nested too deep")
    texts = []
    for value in values:
        text = _write(value, room, depth + 1)
        room -= len(text) + 2
        if room < -2:
            raise NoLiteralError("longer than it may be")
        texts.append(text)
    return texts
