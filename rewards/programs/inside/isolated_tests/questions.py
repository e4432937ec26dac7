"""What one side can ask the other to do with an object."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests.built_ins import keep_built_ins

keep_built_ins(globals())

ORDER = ("lt", "le", "gt", "ge")
ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift")


def _turn_around(act: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: act(b, a)


QUESTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in (*ORDER, *ARITHMETIC, "eq", "ne", "neg", "pos", "invert", "contains")},
    **{f"r{name}": _turn_around(getattr(operator, name)) for name in ARITHMETIC},
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    **{each.__name__: each for each in (abs, bool, float, hash, int, iter, len, next, repr, reversed, round, str, format)},
    **{each.__name__: each for each in (getattr, setattr, delattr, isinstance, issubclass, dir, divmod, complex)},
    "index": operator.index,
    "enter": lambda value: type(value).__enter__(value),
    "exit": lambda value, text: type(value).__exit__(value, *((Exception, Exception(text), None) if text else (None,) * 3)),
}
