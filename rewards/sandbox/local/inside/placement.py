"""Put what a worker calls between two forks next to each other in memory.

A call writes to the reference counts of what it calls, and every page that is written to between two forks is copied. Where
modules created them, functions, their code and built-in functions are on a page each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

_SPARE = 300
"""Objects of each kind that fill the gaps between others first."""
_SPARE_CODES = 8


def gather(called: Sequence[Callable[..., Any]], homes: Sequence[ModuleType | type]) -> None:
    """Replace functions by copies next to each other, and other callables by `partial` objects, wherever `homes` have them."""
    spare: list[Any] = [[partial(each) for each in called[:1]] for _ in range(_SPARE)]
    others = {id(each): partial(each) for each in called if not isinstance(each, FunctionType)}
    functions = [each for each in called if isinstance(each, FunctionType)]
    codes: list[CodeType] = []
    for _ in range(_SPARE_CODES):
        codes = [each.__code__.replace() for each in functions]
        spare.append(codes)
    spare += [_copy(functions[0], codes[0]) for _ in range(_SPARE)]
    copies = {id(each): _copy(each, code) for each, code in zip(functions, codes, strict=True)}
    placed: dict[int, Any] = {**others, **copies}
    for home in homes:
        for name, value in list(vars(home).items()):
            if id(value) in placed:
                setattr(home, name, placed[id(value)])


def _copy(function: FunctionType, code: CodeType) -> FunctionType:
    copy = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
