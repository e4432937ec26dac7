"""Call a candidate's function and report the results, or run a program. Expected values are never sent here.

`main(task)` takes a JSON object with `program` (source that runs as `__main__` on standard input and output), or with
`prelude` and `code` (sources), `function` (`name` or `Class().method`), `tested` (names that only the code may define) and
`calls`, each `[args, kwargs]` or, if JSON cannot represent them, the Python literal `(args, kwargs)` as a string. A program,
and code with prelude null, get the names that graders import. Each line of standard output is the JSON report of a call:
`{"i": number of the call, "v": value}`, with values for `rewards.programs.candidate.unpack`, or
`{"i": number, "e": error}`; number -1 is the program itself.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import sys

# Keep references to the built-in functions, because the program may replace them.
globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would slow down every run
    from typing import Any

_LONGEST = 8_000_000
# The imports that the graders of APPS, PRIME and LiveCodeBench add to a program. Run once, when this file is loaded.
_STARRED = "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
_COMMON: dict[str, Any] = {}
exec("".join(f"from {name} import *\nimport {name}\n" for name in (*_STARRED.split(), "builtins", "typing")), _COMMON)
_COMMON = {name: value for name, value in _COMMON.items() if not name.startswith("__")}
_JSON_ATOMS = {int, str, bool, float, type(None)}


def pack(value: Any) -> Any:
    """Return the value as JSON data, with other types as an object of one key, `{kind: content}`.

    An instance of a derived class becomes its plain value, so its own `__eq__` has no effect.
    """
    kind = type(value)
    if kind in _JSON_ATOMS:
        return {"i": hex(value)} if kind is int and abs(value) > 1 << 64 else value
    if isinstance(value, list):
        kinds = set(map(type, list.__iter__(value)))
        if kind is list and (kinds <= _JSON_ATOMS - {int} or (kinds == {int} and max(map(abs, value)) < 1 << 64)):
            return value
        return [pack(item) for item in list.__iter__(value)]
    if isinstance(value, dict):
        return {"d": [[pack(key), pack(dict.__getitem__(value, key))] for key in dict.__iter__(value)]}
    containers: tuple[tuple[Any, str], ...] = ((tuple, "t"), (set, "s"), (frozenset, "f"))
    for container, name in containers:
        if isinstance(value, container):
            return {name: [pack(item) for item in container.__iter__(value)]}
    if isinstance(value, (bytes, bytearray)):
        return {"b": list(value)}
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    if isinstance(value, int):
        return pack(int.__index__(value))
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"a {type(value).__name__} is not plain data")


def main(text: str) -> None:
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
        _report(channel, {"i": -1, "e": _describe(error)})
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
        _report(channel, report)


def _load(task: dict[str, Any]) -> dict[str, Any]:
    """Run the program and return its namespace."""
    # Run in real modules, because dataclasses and others look up the module of a class by name.
    scope = _make_module("prelude")
    if task["prelude"] is None:
        scope.update(_COMMON)
    else:
        exec(compile(task["prelude"], "<prelude>", "exec", dont_inherit=True), scope)
    namespace = _make_module("solution")
    # The program must define what is tested: the graders' `from math import *` must not provide `factorial`.
    tested = task["tested"]
    namespace.update({name: value for name, value in scope.items() if not name.startswith("__") and name not in tested})
    exec(compile(task["code"], "<solution>", "exec", dont_inherit=True), namespace)
    return namespace


def _report(channel: int, report: dict[str, Any]) -> None:
    os.write(channel, (json.dumps(report) + "\n").encode())


def _describe(error: BaseException) -> str:
    """Describe an error, for messages only."""
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except BaseException:
        return "an exception whose text cannot be read"


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
