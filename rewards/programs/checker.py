"""Checkers: functions of a row that decide whether an output is right, for problems with several right answers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rewards.errors import GroundTruthError
from rewards.parsing.assertion import Arguments
from rewards.programs.candidate import pack_arguments
from rewards.reasons import explain
from rewards.sandbox import Limits, Program, get
from rewards.sandbox.reports import read_reports


@dataclass(frozen=True)
class Checker:
    """The checker of a row, and what it gets beside an output."""

    source: str
    """Source that defines `check(input, output, expected)`."""
    inputs: tuple[Any, ...]
    """Per test: the standard input, the list of arguments, or the dict of keyword arguments."""
    expected: tuple[Any, ...]
    """Per test: the expected output, or None."""


async def run_checker(checker: Checker, outputs: Sequence[tuple[int, Any]], limits: Limits | None = None) -> list[bool]:
    """Return which outputs the checker accepts.

    It runs in the sandbox, in a process that has no code of the program, only its outputs as plain data. An output that makes
    the checker raise an exception or run out of time is not accepted.

    Args:
        outputs: The number of a test, and the output of the program for it.

    Raises:
        GroundTruthError: The checker does not load.
        SandboxError: The sandbox failed.
    """
    if not outputs:
        return []
    token = secrets.token_hex(16)
    cases = [(checker.inputs[number], output, checker.expected[number]) for number, output in outputs]
    task = json.dumps({"token": token, "checker": checker.source})
    packed = ", ".join(pack_arguments(Arguments(case)) for case in cases)
    program = Program(task, f"[{packed}]", "rewards.programs.inside.checker")
    accepted: dict[int, bool] = {}
    for report in read_reports((await get().run(program, limits)).output, token):
        if "fault" in report:
            raise GroundTruthError(f"the checker does not load: {report['fault']}"[:400])
        accepted[report["i"]] = report.get("ok") is True
        if "e" in report:
            explain("the checker raised {}", str(report["e"]))
    return [accepted.get(number, False) for number in range(len(outputs))]
