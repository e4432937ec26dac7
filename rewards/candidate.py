"""Running a candidate's function or its assertions: the task for `inside/tests.py`, and reading its report back."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.execution import Limits, run_python
from rewards.literals import NotLiteralError, read_literal


@dataclass(frozen=True)
class Candidate:
    """A program and the function of it that is tested."""

    code: str
    function: str
    """`name`, or `Class().method`."""
    prelude: str = ""
    """Source that runs before it: imports, and classes that its inputs are made of."""


@dataclass(frozen=True)
class Call:
    """The arguments of one call: plain Python values."""

    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()

    def to_literal(self) -> str:
        """Source of `(args, kwargs)`."""
        return repr((self.args, dict(self.kwargs)))


@dataclass(frozen=True)
class Outcome:
    """What one call came to."""

    returned: bool
    value: Any = None


def call_function(candidate: Candidate, calls: Sequence[Call], limits: Limits | None = None) -> list[Outcome]:
    """Calls the function once per `calls`, in one child process. What was to be returned never goes there."""
    lines = _run(candidate, {"calls": [call.to_literal() for call in calls]}, limits)
    outcomes = [_read_outcome(line) for line in lines[: len(calls)]]
    return outcomes + [Outcome(False)] * (len(calls) - len(outcomes))


def run_assertions(candidate: Candidate, sources: Sequence[str], limits: Limits | None = None) -> list[bool]:
    """Runs each source, which asserts something of `candidate`, in one child process; whether each one held.

    The report carries a token that the candidate is not told; it could still find it, being in the same process.
    """
    token = secrets.token_hex(16)
    lines = _run(candidate, {"asserts": list(sources), "token": token}, limits)
    verdicts = [line.get("passed") is True for line in lines if line.get("token") == token][: len(sources)]
    return verdicts + [False] * (len(sources) - len(verdicts))


def _run(candidate: Candidate, task: Mapping[str, Any], limits: Limits | None) -> list[dict[str, Any]]:
    whole = {"prelude": candidate.prelude, "code": candidate.code, "function": candidate.function, **task}
    execution = run_python(_program(), json.dumps(whole), limits)
    lines = []
    for text in execution.output.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            break
        if not isinstance(line, dict):
            break
        lines.append(line)
    return lines


@functools.cache
def _program() -> str:
    return (Path(__file__).parent / "inside" / "tests.py").read_text(encoding="utf-8")


def _read_outcome(line: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome(True, read_literal(str(line["value"])))
    except (KeyError, NotLiteralError):
        return Outcome(False)
