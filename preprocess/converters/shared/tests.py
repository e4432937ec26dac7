"""The tests of published data sets, read as data and syntax: expected values stay with the grader where JSON holds them."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from preprocess.errors import LeftOutError, RowError
from preprocess.sources.decoding import describe
from rewards.parsing.literals import NotLiteralError, read_literal
from rewards.programs.comparison import is_accepted


class Pairs(msgspec.Struct):
    """The tests of APPS and Eurus."""

    inputs: list[Any]
    outputs: list[Any]
    fn_name: str | None = None


_PAIRS = msgspec.json.Decoder(Pairs)


def read_pairs(text: str, column: str, max_tests: int) -> dict[str, Any]:
    """The first tests of a JSON text `{"inputs": …, "outputs": …[, "fn_name": …]}`.

    Raises:
        RowError: it is no such text, or the lists differ in length; names the column.
        LeftOutError: there are no tests.
    """
    try:
        pairs = _PAIRS.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RowError(f"{column}: {describe(str(error), Pairs)}") from error
    truth = take_pairs(pairs.inputs, pairs.outputs, column, max_tests)
    return {**truth, "fn_name": pairs.fn_name} if pairs.fn_name else truth


def take_pairs(inputs: list[Any], outputs: list[Any], column: str, max_tests: int) -> dict[str, Any]:
    """The first tests.

    Raises:
        RowError: the lists differ in length; names the column.
        LeftOutError: there are no tests.
    """
    if len(inputs) != len(outputs):
        raise RowError(f"{column}: {len(inputs)} inputs and {len(outputs)} outputs")
    if not inputs:
        raise LeftOutError("it has no tests")
    return {"inputs": inputs[:max_tests], "outputs": outputs[:max_tests]}


def parse(source: str, column: str) -> ast.Module:
    """Python source as syntax.

    Raises:
        RowError: it is none; names the column.
    """
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError(f"{column} does not parse: {error}") from error


def take_check(tree: ast.Module, max_tests: int) -> ast.FunctionDef:
    """The function `check(candidate)` of a test; where it has nothing but assertions, with the first of them.

    Raises:
        RowError: there is none.
    """
    check = next((each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "check"), None)
    if check is None or len(check.args.args) != 1:
        raise RowError("test has no function `check(candidate)`")
    if all(isinstance(line, ast.Assert) for line in check.body):
        check.body = check.body[:max_tests]
    return check


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
