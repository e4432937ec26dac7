"""Assertions into tests whose expected values stay with the grader, wherever JSON can hold them."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rewards.comparison import is_accepted
from rewards.literals import NotLiteralError, read_literal


@dataclass(frozen=True)
class Test:
    """One call and what it must return."""

    args: list[Any] | dict[str, Any]
    """A list of arguments, or named ones."""
    expected: Any


def read_test(line: ast.stmt, function: str) -> Test | None:
    """`assert function(literals) == literal` as a test; None where the statement is anything else."""
    test = line.test if isinstance(line, ast.Assert) else None
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return None
    call = test.left
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == function):
        return None
    if (call.args and call.keywords) or any(keyword.arg is None for keyword in call.keywords):
        return None
    try:
        expected = read_literal(ast.unparse(test.comparators[0]))
        if call.keywords:
            return Test({str(each.arg): read_literal(ast.unparse(each.value)) for each in call.keywords}, expected)
        return Test([read_literal(ast.unparse(each)) for each in call.args], expected)
    except NotLiteralError:
        return None


def to_truth(tests: Sequence[Test], function: str, prelude: str = "") -> dict[str, Any] | None:
    """Eurus' ground truth; None where a value is no JSON data (a set, a number as a key)."""
    truth: dict[str, Any] = {
        "fn_name": function,
        "inputs": [test.args for test in tests],
        "outputs": [[test.expected] for test in tests],
    }
    try:
        if not is_accepted(json.loads(json.dumps(truth, allow_nan=False)), truth):
            return None
    except (TypeError, ValueError):
        return None
    return {**truth, "prelude": prelude} if prelude else truth
