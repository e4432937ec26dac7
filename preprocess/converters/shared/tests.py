"""Read the tests of published data sets, as JSON data if possible: the program cannot see expected values then."""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from preprocess.converters.shared.code_task import CodeOptions
from preprocess.errors import LeftOutError, RowError
from preprocess.sources.decoding import describe_json
from rewards.parsing.source_values import NotValueError, read_literal
from rewards.programs.ground_truth import is_function
from rewards.programs.inside.judge.comparison import is_accepted
from rewards.wording import count, kind_of


class Pairs(msgspec.Struct):
    """The tests of APPS and Eurus."""

    inputs: list[Any]
    outputs: list[Any]
    fn_name: str | None = None


def read_json(text: str, kind: Any, column: str) -> Any:
    """Decode JSON text of a type; raise RowError, which names the column, if that fails."""
    try:
        return _make_decoder(kind).decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RowError(f"{column}: {describe_json(str(error), text.encode('utf-8', 'surrogatepass'), kind)}") from error


@functools.cache
def _make_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


class PairOptions(CodeOptions, frozen=True, kw_only=True):
    """Options of sources whose tests are JSON inputs and outputs."""

    integer_keys: bool = True
    """Turn the keys of an argument or a value back into integers if all keys of the dict look like integers."""


def read_pairs(
    text: str, column: str, max_tests: int, kind: type[Pairs] = Pairs, *, integer_keys: bool = True
) -> dict[str, Any]:
    """Return the first tests of a JSON text `{"inputs": …, "outputs": …[, "fn_name": …]}`.

    Args:
        integer_keys: see `PairOptions`.

    Raises:
        RowError: it is not such a text, or the lists differ in length; names the column.
        LeftOutError: it has no tests.
    """
    pairs = read_json(text, kind, column)
    if len(pairs.inputs) != len(pairs.outputs):
        raise RowError(f"{column}: {count(len(pairs.inputs), 'input')} and {count(len(pairs.outputs), 'output')}")
    if not pairs.inputs:
        raise LeftOutError("it has no tests")
    truth = {"inputs": pairs.inputs[:max_tests], "outputs": pairs.outputs[:max_tests]}
    if not pairs.fn_name:
        _check_texts(truth, column)
        return truth
    if not is_function(pairs.fn_name):
        raise RowError(f"{column}: fn_name is {pairs.fn_name[:60]!r}, expected the name of a function")
    return {**truth, "fn_name": pairs.fn_name, **({} if integer_keys else {"integer_keys": False})}


def _check_texts(truth: Mapping[str, list[Any]], column: str) -> None:
    """Check that the inputs and outputs of programs are texts, or lists of lines; raise RowError."""
    for name, values in truth.items():
        for place, value in enumerate(values):
            for line in value if isinstance(value, list) else [value]:
                if isinstance(line, bool) or not isinstance(line, str | int | float):
                    found = f"a list with {kind_of(line)}" if isinstance(value, list) else kind_of(line)
                    raise RowError(f"{column}: {name}[{place}] is {found}, expected text or a list of lines")


def parse(source: str, column: str) -> ast.Module:
    """Parse Python source; raise RowError, which names the column, if that fails."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError(f"{column} does not parse: {error}") from error


def take_check(tree: ast.Module, max_tests: int) -> ast.FunctionDef:
    """Return the function `check(candidate)` of a test; if it has only assertions, cut it to the first ones.

    Raises:
        RowError: the test has no such function.
    """
    check = next((each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "check"), None)
    if check is None or len(check.args.args) != 1:
        raise RowError("test has no function `check(candidate)`")
    if all(isinstance(line, ast.Assert) for line in check.body):
        check.body = check.body[:max_tests]
    return check


def to_calls(tests: Iterable[ast.stmt], function: str, prelude: str = "") -> dict[str, Any] | None:
    """Return tests of the form `assert candidate(literals) == literal` as inputs and outputs of a function.

    Returns:
        A ground truth whose outputs are the values themselves. None if a test has another form, or a value is not JSON data (a
        set, a number as a key) or would not be read back as itself.
    """
    inputs, outputs = [], []
    for test in tests:
        call = _read_assert(test)
        if call is None:
            return None
        inputs.append(call[0])
        outputs.append(call[1])
    truth: dict[str, Any] = {"fn_name": function, "inputs": inputs, "outputs": outputs}
    try:
        read = json.loads(json.dumps(truth, allow_nan=False))
    except (TypeError, ValueError):
        return None
    arguments = [each for given in inputs if isinstance(given, list) for each in given]
    if read["inputs"] != inputs or not is_accepted(read["outputs"], outputs) or any(map(_has_number_keys, arguments)):
        return None
    if any(_has_number_keys(each) or (isinstance(each, list | tuple) and len(each) == 1) for each in outputs):
        return None  # graders of APPS and Eurus accept a list of one and its item for each other
    return {**truth, "prelude": prelude} if prelude else truth


def _has_number_keys(value: Any) -> bool:
    """Return whether all keys of a dict are texts that graders read as integers, because JSON has made texts of integers."""
    return isinstance(value, dict) and bool(value) and all(key.removeprefix("-").isdecimal() for key in value)


def _read_assert(statement: ast.stmt) -> tuple[list[Any] | dict[str, Any], Any] | None:
    """Return arguments, positional or named, and the expected value; None if the statement has another form."""
    match statement:
        case ast.Assert(
            test=ast.Compare(
                left=ast.Call(func=ast.Name(id="candidate"), args=args, keywords=keywords), ops=[ast.Eq()], comparators=[value]
            )
        ):
            pass
        case _:
            return None
    if (args and keywords) or any(keyword.arg is None for keyword in keywords):
        return None
    try:
        expected = read_literal(value)
        if keywords:
            return {str(each.arg): read_literal(each.value) for each in keywords}, expected
        return list(map(read_literal, args)), expected
    except NotValueError:
        return None
