"""humaneval: HumanEval's functions to complete, with their tests."""

from __future__ import annotations

import ast
from typing import Any

import msgspec

from preprocess.converters.shared.code_task import CodeOptions, CodeTask, make_converter
from preprocess.converters.shared.preludes import find_prelude
from preprocess.converters.shared.tests import parse, take_check


class HumanEval(msgspec.Struct):
    """A problem."""

    task_id: str
    prompt: str
    """Imports, sometimes helpers, then the function's signature and docstring."""
    canonical_solution: str
    """The function's body."""
    test: str
    entry_point: str


def _read(record: HumanEval, options: CodeOptions) -> CodeTask:
    return CodeTask(
        source="humaneval",
        statement=f"Complete the function {record.entry_point}.",
        signature=record.prompt.strip("\n"),
        solution=f"{record.prompt}{record.canonical_solution}".strip("\n"),
        make_truth=lambda: _make_truth(record, options),
        id=record.task_id,
        plan=f"To complete: {record.entry_point}",
    )


def _make_truth(record: HumanEval, options: CodeOptions) -> dict[str, Any]:
    tests = parse(record.test, "test")
    take_check(tests, options.max_tests)
    truth = {"functional": f"{ast.unparse(tests)}\n\ncheck({record.entry_point})"}
    prelude = find_prelude(record.prompt, record.entry_point)
    return {**truth, "prelude": prelude} if prelude else truth


HUMANEVAL = make_converter("humaneval", "HumanEval: functions to complete, with their tests", HumanEval, CodeOptions, _read)
