"""Write values as literals of assertions, the same text for the same value."""

from __future__ import annotations

import math
from typing import Any

from preprocess.errors import RowError

_MOST_BITS = 13_000
"""Larger integers are written in hexadecimal: Python reads no more than 4,300 decimal digits."""


def write(value: Any) -> str:
    """Return the literal of plain data.

    Raises:
        RowError: a value has no literal, such as `nan`.
    """
    kind = type(value)
    if value is None or kind in (bool, str, bytes):
        return repr(value)
    if kind is int:
        return repr(value) if value.bit_length() < _MOST_BITS else f"int('{value:x}', 16)"
    if kind is float and not math.isnan(value):
        return repr(value).replace("inf", "1e999")
    if kind is complex and math.isfinite(value.real) and math.isfinite(value.imag):
        return repr(value)
    if kind is list:
        return f"[{', '.join(map(write, value))}]"
    if kind is tuple:
        return f"({', '.join(map(write, value))}{',' if len(value) == 1 else ''})"
    if kind is dict:
        return f"{{{', '.join(f'{write(key)}: {write(item)}' for key, item in value.items())}}}"
    if kind is set:
        return f"{{{', '.join(sorted(map(write, value)))}}}" if value else "set()"
    raise RowError(f"a value of the type {kind.__name__} has no literal")
