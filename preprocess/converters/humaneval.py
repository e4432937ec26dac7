"""humaneval: HumanEval's functions to complete, with their tests."""

from __future__ import annotations

import ast
from typing import Any

import msgspec

from preprocess.converters.shared.code_task import CodeOptions, CodeTask, make_converter
from preprocess.converters.shared.tests import parse, take_check
from preprocess.errors import RowError


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
    tree = parse(record.test, "test")
    take_check(tree, options.max_tests)
    truth = {"functional": f"{ast.unparse(tree)}\n\ncheck({record.entry_point})"}
    prelude = _take_prelude(record)
    return {**truth, "prelude": prelude} if prelude else truth


def _take_prelude(record: HumanEval) -> str:
    """Return what precedes the function: its tests may need it, and an answer may omit it, as HumanEval's completions do."""
    tree = parse(f"{record.prompt}    pass\n", "prompt")
    first = next((each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == record.entry_point), None)
    if first is None:
        raise RowError(f"prompt has no function {record.entry_point}")
    return "\n".join(record.prompt.split("\n")[: first.lineno - 1]).strip()


HUMANEVAL = make_converter("humaneval", "HumanEval: functions to complete, with their tests", HumanEval, CodeOptions, _read)
