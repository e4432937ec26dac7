"""Calls a candidate's function and reports what it returned, or runs a program. No expected value ever comes here.

`main(task)`: a JSON object with `program` (source, that runs as `__main__` on its standard input and output), or with
`prelude` and `code` (sources), `function` (`name` or `Class().method`), `tested` (names that only the code may bring) and
`calls`, each `[args, kwargs]` or, where JSON cannot hold them, the Python literal `(args, kwargs)` as a string. A program,
and code whose prelude is null, find the names that graders import for them. One JSON line per call goes to standard output:
`{"i": number of the call, "v": value}`, with values as `rewards.programs.candidate.unpack` reads them, or `{"i": number,
"e": why there is none}`; number -1 for the program itself.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import sys

# What a program does to the built-in functions does not reach this file.
globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost every run
    from typing import Any

_LONGEST = 8_000_000
# What the graders of APPS, PRIME and LiveCodeBench put before a program. Run once, when this file is loaded.
_STARRED = "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
_COMMON: dict[str, Any] = {}
exec("".join(f"from {name} import *\nimport {name}\n" for name in (*_STARRED.split(), "builtins", "typing")), _COMMON)
_COMMON = {name: value for name, value in _COMMON.items() if not name.startswith("__")}
_JSON_ATOMS = {int, str, bool, float, type(None)}


def pack(value: Any) -> Any:
    """The value as JSON data; what JSON has not is an object of one key, `{kind: content}`.

    A value of a derived class is sent as the plain value it holds: what its class says about equality does not count.
    """
    kind = type(value)
    if kind in _JSON_ATOMS:
        if kind is int and (value > 1 << 64 or value < -1 << 64):
            return {"i": hex(value)}
        return value
    if kind is list:
        kinds = set(map(type, value))
        if kinds <= {str, bool, float, type(None)} or (kinds == {int} and max(map(abs, value)) < 1 << 64):
            return value
        return [pack(item) for item in value]
    if kind is dict:
        return {"d": [[pack(key), pack(item)] for key, item in value.items()]}
    return _pack_other(value)


def _pack_other(value: Any) -> Any:
    kinds: tuple[tuple[Any, str], ...] = ((tuple, "t"), (set, "s"), (frozenset, "f"))
    for kind, name in kinds:
        if isinstance(value, kind):
            return {name: [pack(item) for item in kind.__iter__(value)]}
    if isinstance(value, dict):
        return {"d": [[pack(key), pack(dict.__getitem__(value, key))] for key in dict.__iter__(value)]}
    if isinstance(value, (bytes, bytearray)):
        return {"b": list(value)}
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    if isinstance(value, list):
        return [pack(item) for item in list.__iter__(value)]
    if isinstance(value, int):
        return pack(int.__index__(value))
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"a {type(value).__name__} is not plain data")


def main(text: str) -> None:
    """Runs one task."""
    task = json.loads(text)
    if "program" in task:
        _run_program(task["program"])
        return
    channel = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    try:
        namespace = _load(task)
    except BaseException as error:
        _tell(channel, {"i": -1, "e": _describe(error)})
        return
    owner, dot, name = task["function"].rpartition("().")
    for number, call in enumerate(task["calls"]):
        try:
            args, kwargs = ast.literal_eval(call) if isinstance(call, str) else call
            if dot:
                function = getattr(namespace[owner](), name)
            elif name in namespace or "Solution" not in namespace:
                function = namespace[name]
            else:
                function = getattr(namespace["Solution"](), name)
            report = {"i": number, "v": pack(function(*args, **kwargs))}
            if len(json.dumps(report)) > _LONGEST:
                raise ValueError("the value is too long")
        except BaseException as error:
            report = {"i": number, "e": _describe(error)}
        _tell(channel, report)


def _load(task: dict[str, Any]) -> dict[str, Any]:
    """Runs the program; returns its names."""
    # Modules of their own: dataclasses and others look up the module of a class by its name.
    scope = _make_module("prelude")
    if task["prelude"] is None:
        scope.update(_COMMON)
    else:
        exec(compile(task["prelude"], "<prelude>", "exec", dont_inherit=True), scope)
    namespace = _make_module("solution")
    # What is judged is the program's own: `factorial` is no answer because the graders' imports hold all of `math`.
    given = {name: value for name, value in scope.items() if not name.startswith("__") and name not in task["tested"]}
    namespace.update(given)
    exec(compile(task["code"], "<solution>", "exec", dont_inherit=True), namespace)
    return namespace


def _tell(channel: int, report: dict[str, Any]) -> None:
    os.write(channel, (json.dumps(report) + "\n").encode())


def _describe(error: BaseException) -> str:
    """For people; nothing is decided by it."""
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except BaseException:
        return "an exception that has no text"


def _run_program(source: str) -> None:
    namespace = _make_module("__main__")
    namespace.update(_COMMON)
    try:
        exec(compile(source, "main.py", "exec", dont_inherit=True), namespace)
    except SystemExit as stop:
        if stop.code not in (None, 0, False):
            raise


def _make_module(name: str) -> dict[str, Any]:
    module = type(sys)(name)
    sys.modules[name] = module
    return module.__dict__
