"""Make forks cheap: put what a worker calls between two of them next to each other in memory, and join mappings.

A call writes to the reference counts of what it calls, and every page that is written to between two forks is copied. Where
modules created them, functions, their code and built-in functions are on a page each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from rewards.sandbox.local.inside import kernel

_SPARE = 300
"""Objects of each kind that fill the gaps between others first."""
_SPARE_CODES = 8
_MAPPING = re.compile(r"^(\w+)-(\w+) (\S+) \S+ \S+ \S+ +(/.*)$", re.MULTILINE)
_READ, _WRITE, _EXECUTE = 1, 2, 4


def gather(called: Sequence[Callable[..., Any]], homes: Sequence[ModuleType | type]) -> None:
    """Replace functions by copies next to each other, wherever `homes` have them.

    Other callables, and all built-in functions in `homes`, are replaced by `partial` objects: calling one does not count a
    reference to what it calls.
    """
    built_in = [each for home in homes for each in vars(home).values() if isinstance(each, BuiltinFunctionType)]
    functions = [each for each in called if isinstance(each, FunctionType)]
    others: list[Callable[..., Any]] = [*built_in, *(each for each in called if not isinstance(each, FunctionType))]
    spare: list[Any] = [partial(len) for _ in range(_SPARE)]
    placed: dict[int, Any] = {id(each): partial(each) for each in others}
    codes: list[CodeType] = []
    for _ in range(_SPARE_CODES):
        codes = [each.__code__.replace() for each in functions]
        spare.append(codes)
    spare += [_copy(functions[0], codes[0]) for _ in range(_SPARE)]
    placed.update({id(each): _copy(each, code) for each, code in zip(functions, codes, strict=True)})
    for home in homes:
        for name, value in list(vars(home).items()):
            if id(value) in placed:
                setattr(home, name, placed[id(value)])


def _copy(function: FunctionType, code: CodeType) -> FunctionType:
    copy = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def join_mappings() -> None:
    """Give the constants of each library the rights of its code, and its relocations those of its data.

    The kernel then joins five mappings to two. A fork copies each mapping, of which a Python has about 150.
    """
    with open("/proc/self/maps") as file:
        found = [(int(begin, 16), int(end, 16), rights, path) for begin, end, rights, path in _MAPPING.findall(file.read())]
    for number, (begin, end, rights, path) in enumerate(found):
        near = {other[2]: other for other in (*found[max(0, number - 1) : number], *found[number + 1 : number + 2])}
        if rights != "r--p":
            continue
        for other, wanted in (("rw-p", _READ | _WRITE), ("r-xp", _READ | _EXECUTE)):
            neighbour = near.get(other)
            if neighbour is not None and neighbour[3] == path and (neighbour[0] == end or neighbour[1] == begin):
                kernel.protect(begin, end, wanted)
                break
