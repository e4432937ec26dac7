"""Calls a candidate's function and reports what it returned, or runs assertions on it: a program for `run_python`.

Reads one JSON object from standard input: `prelude` and `code` (sources), `function` (`name` or `Class().method`), and
either `calls` (literals `(args, kwargs)`; no expected value ever comes here) or `asserts` (sources that call
`candidate`) with a `token`. Writes one JSON line per call `{"value": literal}` or `{"error": text}`, or per assertion
`{"passed": bool, "token": token}`.
"""

from __future__ import annotations

import ast
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost every run
    from typing import Any

_LONGEST = 200_000
_ATOMS = (int, bool, str, bytes, type(None))


def literal(value: Any) -> str:
    """The value as text that `ast.literal_eval` reads. Exact types only: an object may claim to equal anything."""
    kind = type(value)
    if kind in _ATOMS:
        return repr(value)
    if kind is float:
        if value != value:
            raise TypeError("nan has no literal")
        return repr(value).replace("inf", "1e999")
    if kind is list or (kind.__name__ == "deque" and kind.__module__ == "collections"):
        return "[" + ", ".join([literal(item) for item in value]) + "]"
    if kind is tuple:
        return "(" + "".join([literal(item) + ", " for item in value]) + ")"
    if kind in (set, frozenset):
        return "{" + ", ".join(sorted(literal(item) for item in value)) + "}" if value else "set()"
    if kind in (dict, *_counters()):
        return "{" + ", ".join([f"{literal(key)}: {literal(item)}" for key, item in value.items()]) + "}"
    raise TypeError(f"a {kind.__name__} is not plain data")


def _counters() -> tuple[type, ...]:
    module = sys.modules.get("collections")
    return () if module is None else (module.Counter, module.defaultdict, module.OrderedDict)


def main() -> None:
    """Runs one task."""
    task = json.loads(sys.stdin.read())
    channel = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    token = task.get("token")

    def report(**result: object) -> None:
        os.write(channel, (json.dumps(result) + "\n").encode())

    scope: dict[str, Any] = {"__name__": "tests"}
    exec(compile(task["prelude"], "<prelude>", "exec", dont_inherit=True), scope)
    # The candidate gets a copy of the names: what it redefines does not reach the tests.
    namespace = {**scope, "__name__": "candidate"}
    exec(compile(task["code"], "<candidate>", "exec", dont_inherit=True), namespace)

    def function() -> Any:
        owner, dot, name = task["function"].rpartition("().")
        if dot:
            return getattr(namespace[owner](), name)
        if name in namespace or "Solution" not in namespace:
            return namespace[name]
        return getattr(namespace["Solution"](), name)

    def candidate(*args: Any, **kwargs: Any) -> Any:
        value = function()(*args, **kwargs)
        # An object with a comparison of its own could equal whatever it is compared with.
        kind = type(value)
        if type(kind) is not type or kind.__eq__ is not object.__eq__:  # type: ignore[comparison-overlap]
            literal(value)
        return value

    for text in task.get("calls", ()):
        try:
            args, kwargs = ast.literal_eval(text)
            value = literal(function()(*args, **kwargs))
            if len(value) > _LONGEST:
                raise ValueError("the value is too long")
        except BaseException as error:
            report(error=f"{type(error).__name__}: {error}"[:300])
        else:
            report(value=value)
    for text in task.get("asserts", ()):
        try:
            exec(compile(text, "<test>", "exec", dont_inherit=True), {**scope, "candidate": candidate})
        except BaseException:
            report(passed=False, token=token)
        else:
            report(passed=True, token=token)


main()
