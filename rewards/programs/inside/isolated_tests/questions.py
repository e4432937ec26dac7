"""Operations that one process can request on an object of the other."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

ORDER = ("lt", "le", "gt", "ge")
ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift")


def _reflect(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: operate(b, a)


QUESTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in (*ORDER, *ARITHMETIC, "eq", "ne", "neg", "pos", "invert", "contains")},
    **{f"r{name}": _reflect(getattr(operator, name)) for name in ARITHMETIC},
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    **{each.__name__: each for each in (abs, bool, float, hash, int, iter, len, next, repr, reversed, round, str, format)},
    **{each.__name__: each for each in (getattr, setattr, delattr, isinstance, issubclass, dir, divmod, complex)},
    "index": operator.index,
    "enter": lambda value: type(value).__enter__(value),
    "exit": lambda value, text: type(value).__exit__(value, *((Exception, Exception(text), None) if text else (None,) * 3)),
}
