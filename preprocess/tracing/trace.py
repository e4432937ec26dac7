"""Running a function call in the sandbox and reading back what each statement did."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preprocess.errors import RowError
from rewards.sandbox import Limits, Program, get

_LIMITS = Limits(cpu_seconds=2.0, wall_seconds=30.0, memory_mb=512, output_bytes=4_000_000)


@dataclass(frozen=True)
class Value:
    """A plain value."""

    kind: str
    """Name of its type."""
    text: str
    """Its literal."""


@dataclass(frozen=True)
class Step:
    """One execution of one statement (of a compound statement, its head)."""

    line: int
    """The statement's first line, counted from 1."""
    turn: int
    """1 when the statement is executed for the first time, 2 for the second …"""
    changed: Mapping[str, Value]
    """The variables whose value it changed, with their new values."""


@dataclass(frozen=True)
class Trace:
    """One call, followed to its end."""

    code: str
    function: str
    args: str
    """Source of the arguments."""
    value: str
    """Literal of what it returned."""
    steps: tuple[Step, ...]
    """What the function's own first frame executed, in order."""

    def get_line(self, number: int) -> str:
        """A line of the program, without the space around it."""
        return self.code.splitlines()[number - 1].strip()


def trace(code: str, function: str, calls: Sequence[str]) -> list[Trace | str]:
    """Calls the function once for each source of arguments; a trace, or the reason why there is none.

    Raises:
        RowError: the program does not parse.
        SandboxError: the sandbox failed.
    """
    starts = _find_statements(code)
    task = json.dumps({"code": code, "function": function, "calls": list(calls)})
    run = get().run_blocking(Program(task, runner="preprocess.tracing.inside"), _LIMITS)
    results = [_read(line) for line in run.output.splitlines()][: len(calls)]
    reason = "it ran out of time" if run.verdict == "timeout" else f"the run ended with {run.verdict}"
    results += [{"error": reason}] * (len(calls) - len(results))
    return [
        str(result["error"])
        if "error" in result
        else Trace(code, function, args, str(result["value"]), _merge(result["steps"], starts))
        for args, result in zip(calls, results, strict=True)
    ]


def _read(line: str) -> dict[str, Any]:
    try:
        result = json.loads(line)
    except ValueError:
        return {"error": "its report was cut short"}
    return result if isinstance(result, dict) else {"error": "its report is broken"}


def _find_statements(code: str) -> dict[int, int]:
    """Line -> first line of the innermost statement (or `except` clause) on it."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise RowError(f"the program does not parse: {error}") from error
    starts: dict[int, int] = {}
    # ast.walk goes outside in, so that an inner statement overwrites the one around it.
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.excepthandler):
            starts.update(dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node.lineno))
    return starts


def _merge(steps: Sequence[Sequence[Any]], starts: Mapping[int, int]) -> tuple[Step, ...]:
    """Events of a statement that spans lines become one step; turns are counted."""
    merged: list[tuple[int, int, dict[str, Value]]] = []
    for line, changed in steps:
        values = {name: Value(kind, text) for name, (kind, text) in changed.items()}
        start = starts.get(line, line)
        # The same line twice in a row is a loop of one line; another line of the same statement is its continuation.
        if merged and merged[-1][0] == start and merged[-1][1] != line:
            merged[-1] = (start, line, {**merged[-1][2], **values})
        else:
            merged.append((start, line, values))
    turns: dict[int, int] = {}
    result = []
    for start, _, values in merged:
        turns[start] = turns.get(start, 0) + 1
        result.append(Step(start, turns[start], values))
    return tuple(result)
