"""code_tests: the share of tests that the program in a response passes.

The ground truth is a JSON object of one of two forms: `inputs` and `outputs` (with `fn_name`: calls of that function,
each input a list of arguments or an object of named ones; without: texts for standard input and output), or
`functional` (source that defines `check(candidate)` and ends by calling it) with an optional `prelude`.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from rewards import answers
from rewards.candidate import Call, Candidate, call_function, run_assertions
from rewards.execution import Limits, run_python
from rewards.literals import is_accepted
from rewards.registry import register


class GroundTruthError(ValueError):
    """A row whose ground truth is not of a form this reward reads."""


@register("code_tests")
def code_tests(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    *,
    max_tests: int = 10,
    all_or_nothing: bool = False,
    format_bonus: float = 0.0,
    seconds: float = 5.0,
    memory_mb: int = 1024,
) -> dict[str, float]:
    """The share of the row's tests that the program in the response passes.

    Args:
        max_tests: run the first so many tests.
        all_or_nothing: 1.0 where every test passes and else 0.0, in place of the share.
        format_bonus: added where the response is one reasoning and one answer in their tags.
        seconds: CPU time of the program, over all calls of a function; for each text from standard input.
        memory_mb: address space of the program in MiB.

    Raises:
        GroundTruthError: the row is broken.
    """
    truth = _read_truth(ground_truth)
    well_formed = float(answers.is_well_formed(solution_str))
    code = answers.take_code(solution_str)
    limits = Limits(cpu_seconds=seconds, wall_seconds=4 * seconds, memory_mb=memory_mb)
    passed = run_tests(code, truth, max_tests, limits) if code else [False]
    share = float(all(passed)) if all_or_nothing else sum(passed) / len(passed)
    return {"score": share + format_bonus * well_formed, "accuracy": share, "format": well_formed}


def run_tests(code: str, truth: Mapping[str, Any], max_tests: int, limits: Limits) -> list[bool]:
    """Which of the first `max_tests` tests a program passes.

    Raises:
        GroundTruthError: the tests are not of a form this reward reads.
    """
    if "functional" in truth:
        function, sources = _split_functional(str(truth["functional"]))
        return run_assertions(Candidate(code, function, str(truth.get("prelude", ""))), sources[:max_tests], limits)
    inputs, outputs = truth.get("inputs"), truth.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs) or not inputs:
        raise GroundTruthError("`inputs` and `outputs` are not two lists of the same length with something in them")
    pairs = list(zip(inputs, outputs, strict=True))[:max_tests]
    if not truth.get("fn_name"):
        runs = ((run_python(code, str(given), limits), str(wanted)) for given, wanted in pairs)
        return [run.verdict == "ok" and _is_same_text(run.output, wanted) for run, wanted in runs]
    candidate = Candidate(code, str(truth["fn_name"]), str(truth.get("prelude", "")))
    outcomes = call_function(candidate, [_read_call(given) for given, _ in pairs], limits)
    return [
        outcome.returned and _is_expected(outcome.value, wanted) for outcome, (_, wanted) in zip(outcomes, pairs, strict=True)
    ]


def _read_truth(text: str) -> dict[str, Any]:
    try:
        truth = json.loads(text)
    except (TypeError, ValueError) as error:
        raise GroundTruthError(f"the ground truth is not JSON: {error}") from error
    if not isinstance(truth, dict):
        raise GroundTruthError(f"the ground truth is a {type(truth).__name__}, expected an object")
    return truth


def _read_call(given: object) -> Call:
    if isinstance(given, dict):
        return Call(kwargs=tuple(given.items()))
    if isinstance(given, list):
        return Call(args=tuple(given))
    raise GroundTruthError(f"an input is {str(given)[:60]!r}, expected a list of arguments or an object of named ones")


def _is_expected(value: Any, wanted: Any) -> bool:
    # APPS and Eurus wrap most, not all, expected values in a list of one; their graders take both.
    return is_accepted(value, wanted) or (isinstance(wanted, list) and len(wanted) == 1 and is_accepted(value, wanted[0]))


def _is_same_text(output: str, wanted: str) -> bool:
    """Line by line without the space at their ends, numbers by value."""
    got, expected = output.rstrip().split("\n"), wanted.rstrip().split("\n")
    return len(got) == len(expected) and all(map(_is_same_line, got, expected))


def _is_same_line(got: str, expected: str) -> bool:
    if got.rstrip() == expected.rstrip():
        return True
    words, wanted = got.split(), expected.split()
    try:
        return len(words) == len(wanted) and all(is_accepted(float(a), float(b)) for a, b in zip(words, wanted, strict=True))
    except ValueError:
        return False


def _split_functional(source: str) -> tuple[str, list[str]]:
    """The function under test, and the tests one by one where `check` is nothing but assertions."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise GroundTruthError(f"the tests do not parse: {error}") from error
    last = tree.body[-1] if tree.body else None
    call = last.value if isinstance(last, ast.Expr) else None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and len(call.args) == 1):
        raise GroundTruthError("the tests do not end with `check(function)`")
    function = ast.unparse(call.args[0])
    checks = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == call.func.id]
    if len(tree.body) == 2 and checks and all(isinstance(line, ast.Assert) for line in checks[0].body):
        return function, [ast.unparse(line) for line in checks[0].body]
    defined = ast.unparse(ast.Module(tree.body[:-1], []))
    return function, [f"{defined}\n{call.func.id}(candidate)"]
