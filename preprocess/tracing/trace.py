"""Running a function call in the sandbox and reading back what each line did."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from preprocess.tracing.source import Source, read_source
from rewards.sandbox import Limits, Program, get
from rewards.sandbox.reports import read_reports

MOST_STEPS = 300
"""Lines that a call may begin."""
LONGEST_VALUE = 100
"""Characters of a variable's value that is asked about or told of."""
LONGEST_CALL = 2000
"""Characters of a call's arguments, and of what it returns."""
LIMITS = Limits(cpu_seconds=2.0, wall_seconds=10.0, memory_mb=512, processes=1, file_mb=1, output_bytes=8_000_000)
"""Of one call, with the run of the program before it."""


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
    """Where the statement begins, counted from 1."""
    turn: int
    """1 when the line begins for the first time, 2 for the second …"""
    place: int
    """Its place among the steps."""
    frame: int
    """Which call of a function it is in."""
    changed: Mapping[str, Value | None]
    """The variables of its frame whose values it changed, with their new ones; None for what has no literal, or a long one."""
    done: int | None
    """How many lines had begun when it was done; None where it never was: a generator was left at it."""


@dataclass(frozen=True)
class Trace:
    """One call, followed to its end."""

    source: Source
    function: str
    args: str
    """Source of the arguments."""
    value: str
    """Literal of what it returned."""
    steps: tuple[Step, ...]
    """What all of the program's functions ran, in the order in which it began."""

    @property
    def code(self) -> str:
        """The program."""
        return self.source.code

    @cached_property
    def done_steps(self) -> tuple[Step, ...]:
        """The steps in the order in which they were done, those that never were last."""
        # Of two that were done at the same time, the one within the other was first.
        return tuple(sorted(self.steps, key=lambda step: (step.done is None, step.done or 0, -step.place)))


def trace(code: str, function: str, calls: Sequence[str], most_steps: int = MOST_STEPS) -> list[Trace | str]:
    """Calls the function for each source of arguments, in fresh processes; a trace, or the reason why there is none.

    Raises:
        RowError: the program does not parse.
        SandboxError: the sandbox failed.
    """
    source = read_source(code)
    return [_trace(source, function, args, most_steps) for args in calls]


def _trace(source: Source, function: str, args: str, most_steps: int) -> Trace | str:
    if len(args) > LONGEST_CALL:
        return f"arguments longer than {LONGEST_CALL} characters"
    task = {
        "code": source.code,
        "function": function,
        "args": args,
        "most_steps": most_steps,
        "longest_value": LONGEST_VALUE,
        "longest_result": LONGEST_CALL,
    }
    report = _run(task)
    if "error" in report:
        # One line of text, whatever the program made of it.
        return " ".join(str(report["error"]).encode("utf-8", "replace").decode().split())
    # What chance or the clock decides cannot be foretold.
    if _run(task) != report:
        return "it does not run the same every time"
    try:
        return Trace(source, function, args, str(report["value"]), _read_steps(report["steps"], source))
    except (KeyError, TypeError, ValueError):
        return "its report is broken"


def _run(task: Mapping[str, Any]) -> dict[str, Any]:
    """What a run reports, without its token."""
    token = secrets.token_hex(16)
    program = Program(json.dumps({"token": token, **task}), runner="preprocess.tracing.inside")
    run = get().run_blocking(program, LIMITS)
    report = next(read_reports(run.output, token), None)
    if report is None:
        return {"error": _REASONS.get(run.verdict, f"the run ended with {run.verdict}")}
    return {name: value for name, value in report.items() if name != "token"}


_REASONS = {
    "ok": "the program ended before its function returned",
    "timeout": "it ran out of time",
    "memory": "it ran out of memory",
    "output": "its trace is too long",
}


def _read_steps(steps: Sequence[Any], source: Source) -> tuple[Step, ...]:
    turns: dict[int, int] = {}
    result = []
    for place, (frame, line, changes, done) in enumerate(steps):
        if line not in source.lines:
            raise ValueError(f"there is no line {line}")
        turns[line] = turns.get(line, 0) + 1
        changed = {name: Value(*each) if each else None for name, each in changes.items()}
        result.append(Step(line, turns[line], place, frame, changed, done))
    return tuple(result)
