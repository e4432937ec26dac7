"""Python literals as text: reading them without running anything, and comparing their values."""

from __future__ import annotations

import ast
import math
from typing import Any

_LONGEST = 100_000


class NotLiteralError(ValueError):
    """The text is not a Python literal."""


def read_literal(text: str) -> Any:
    """The value that a literal stands for.

    Raises:
        NotLiteralError: it is none, or too long or too deep to be read safely.
    """
    if len(text) > _LONGEST:
        raise NotLiteralError("too long")
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise NotLiteralError(f"not a literal: {text[:80]!r}") from error


def is_same(a: Any, b: Any) -> bool:
    """Whether two plain values are equal: containers of the same type, numbers by value, a bool only like a bool."""
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


def is_accepted(value: Any, expected: Any) -> bool:
    """Whether a returned value is the expected one as the field's graders take it.

    A tuple counts as the list that JSON makes of it, and floats may differ by a millionth.
    """
    if isinstance(value, list | tuple) and isinstance(expected, list | tuple):
        return len(value) == len(expected) and all(map(is_accepted, value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(is_accepted(value[key], expected[key]) for key in expected)
    if isinstance(value, float) or isinstance(expected, float):
        numbers = isinstance(value, int | float) and isinstance(expected, int | float)
        return numbers and math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-6)
    return bool(value == expected)
