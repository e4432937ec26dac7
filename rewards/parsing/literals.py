"""Read Python literals without running them, and compare their values."""

from __future__ import annotations

import ast
from typing import Any

_LONGEST = 100_000


class NotLiteralError(ValueError):
    """The text is not a Python literal."""


def read_literal(text: str) -> Any:
    """Return the value of a literal.

    Raises:
        NotLiteralError: The text is not a literal, or is too long or too deeply nested to parse safely.
    """
    if len(text) > _LONGEST:
        raise NotLiteralError("too long")
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise NotLiteralError(f"not a literal: {text[:80]!r}") from error


def is_same(a: Any, b: Any) -> bool:
    """Compare plain values: numbers by value, containers of the same type only, a bool only with a bool."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(is_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(value, b[key]) for key, value in a.items())
    return bool(a == b)
