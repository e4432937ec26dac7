"""Run a function call in the sandbox and read back what each line did."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from preprocess.errors import RowError
from preprocess.tracing.inside import MAX_CALL_CHARS
from preprocess.tracing.source import Line, read_lines
from rewards.sandbox import Limits, Program, get
from rewards.sandbox.reports import read_reports

MAX_STEPS = 300
"""Default number of lines that a call may run."""
_LIMITS = Limits(cpu_seconds=2.0, wall_seconds=10.0, memory_mb=512, processes=1, file_mb=1, output_bytes=8_000_000)
"""Of one call, including the run of the program that defines the function."""
_REASONS = {
    "ok": "the program ended before its function returned",
    "timeout": "it ran out of time",
    "memory": "it ran out of memory",
    "output": "its trace is too long",
}


@dataclass(frozen=True)
class Value:
    """A plain value."""

    kind: str
    """Name of its type."""
    text: str
    """Its literal."""


@dataclass(frozen=True)
class Step:
    """One run of one line."""

    line: int
    """Line number of the statement, counted from 1."""
    turn: int
    """1 for the line's first run, 2 for its second …"""
    place: int
    """Index among the steps."""
    frame: int
    """Number of the function call that it belongs to."""
    changed: Mapping[str, Value | None]
    """New values of the variables of its frame that changed; None for a value without a literal, or a long one."""
    done: int | None
    """Number of lines that had begun when it was done; None if it never was: a generator was left at it."""


@dataclass(frozen=True)
class Trace:
    """A completed call."""

    code: str
    lines: Mapping[int, Line]
    function: str
    args: str
    """Source of the arguments."""
    value: str
    """Literal of the return value."""
    steps: tuple[Step, ...]
    """The steps of all functions of the program, in the order in which they began."""

    @cached_property
    def done_steps(self) -> tuple[Step, ...]:
        """The steps in the order in which they were done, those that never were last."""
        # Of two steps done at the same time, the inner one was done first.
        return tuple(sorted(self.steps, key=lambda step: (step.done is None, step.done or 0, -step.place)))


def trace(code: str, function: str, args: str, max_steps: int = MAX_STEPS) -> Trace:
    """Call a program's function twice, each time in a new process, and return what its lines did.

    Raises:
        RowError: the program does not parse, or the call cannot be traced.
        SandboxError: the sandbox failed.
    """
    lines = read_lines(code)
    if len(args) > MAX_CALL_CHARS:
        raise RowError(f"arguments longer than {MAX_CALL_CHARS} characters")
    task = {"code": code, "function": function, "args": args, "max_steps": max_steps}
    report = _run(task)
    if "error" in report:
        # The program controls this text: make it one line of valid UTF-8.
        raise RowError(" ".join(str(report["error"]).encode("utf-8", "replace").decode().split()))
    # A model cannot predict what depends on chance or on the clock.
    if _run(task) != report:
        raise RowError("it does not run the same every time")
    try:
        return Trace(code, lines, function, args, str(report["value"]), _read_steps(report["steps"], lines))
    except (KeyError, TypeError, ValueError):
        raise RowError("its report is broken") from None


def _run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of a run, without its token."""
    token = secrets.token_hex(16)
    run = get().run_blocking(Program(json.dumps({"token": token, **task}), runner="preprocess.tracing.inside"), _LIMITS)
    report = next(read_reports(run.output, token), None)
    if report is None:
        return {"error": _REASONS.get(run.verdict, f"the run ended with {run.verdict}")}
    return {name: value for name, value in report.items() if name != "token"}


def _read_steps(steps: Sequence[Any], lines: Mapping[int, Line]) -> tuple[Step, ...]:
    turns: Counter[int] = Counter()
    result = []
    for place, (frame, line, changes, done) in enumerate(steps):
        if line not in lines:
            raise ValueError(f"line {line} does not exist")
        turns[line] += 1
        changed = {name: Value(*each) if each else None for name, each in changes.items()}
        result.append(Step(line, turns[line], place, frame, changed, done))
    return tuple(result)
