"""code_tests: the share of tests that the program in a response passes.

The ground truth is a JSON object of one of three forms, each with an optional `prelude` that runs before the program:

- `inputs` and `outputs`: with `fn_name`, calls of that function (each input a list of arguments, an object of keyword
  arguments, or a string with one JSON value per line); without it, texts for standard input and output. `any_order`,
  `case_insensitive`, `float_tolerance` or a `checker` accept several right answers.
- `functional`: source that defines `check(candidate)` and ends by calling it.
- `pytest`: source of tests that import from `solution`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rewards.builtin.option_ranges import check_ranges
from rewards.errors import GroundTruthError
from rewards.parsing import answers
from rewards.parsing.blocks import write_block
from rewards.parsing.drivers import leave_out_driver
from rewards.programs import cheats, free_answers
from rewards.programs.candidate import NoProcessError, Outcome, call_again, call_function, run_tests, run_texts
from rewards.programs.checker import Checker, run_checker
from rewards.programs.expected_calls import describe
from rewards.programs.free_answers import FreeTests
from rewards.programs.ground_truth import CallTests, Choose, Tests, TextTests, find_tested_names, read_tests
from rewards.programs.inside.judge.check import Check
from rewards.programs.inside.judge.comparison import Rules
from rewards.programs.judging import accepts_text
from rewards.reasons import explain
from rewards.registry import Free, register
from rewards.sandbox import Execution, Limits

NO_PROGRAM = "no program in the response"
"""The reason of a response without code."""

_WALL_PER_CPU_SECOND = 6
"""Wall time per CPU second: a correct program must not fail on a busy machine."""
_SHORT = 10_000
"""Characters of a response that is read in less time than handing it to a thread takes others."""
_SPARE_OUTPUT = 1_000_000
_SPARE_VALUES, _PACKED, _MOST_VALUES = 8_000_000, 6, 32_000_000
"""Output for the values of calls: a spare, and for each character of the row the bytes that it may need in a report."""


def make_reference(ground_truth: str, extra_info: Mapping[str, Any]) -> str | None:
    """Return a response with the solution in the row's `detail`, or None if it is missing."""
    detail = extra_info.get("detail")
    try:
        solution = (json.loads(detail) if isinstance(detail, str) else detail or {}).get("solution")
    except (ValueError, AttributeError):
        return None
    return _respond(solution.strip()) if isinstance(solution, str) and solution.strip() else None


def make_cheats(ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, str]:
    """Return responses whose programs try to pass the row's tests without solving the task."""
    programs = cheats.write(read_tests(ground_truth, max_tests=10))
    return {name: _respond(program) for name, program in programs.items()}


def make_free(ground_truth: str, extra_info: Mapping[str, Any], prompt: str) -> Free:
    """Return programs that ignore their input, and whether the prompt shows every test."""
    tests = read_tests(ground_truth, max_tests=10)
    constants = {name: _respond(program) for name, program in free_answers.write_constants(tests).items()}
    nothing = _respond(free_answers.write_nothing(tests))
    return Free(nothing, constants, free_answers.is_shown(tests, prompt), free_answers.has_blank(tests))


def _respond(program: str) -> str:
    return answers.make_response(write_block(program))


@register("code_tests", reference=make_reference, cheats=make_cheats, free=make_free, check=check_ranges)
async def code_tests(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    *,
    max_tests: int = 10,
    choose: Choose = "first",
    all_or_nothing: bool = False,
    format_bonus: float = 0.0,
    seconds: float = 5.0,
    memory_mb: int = 1024,
    free_tests: FreeTests = "count",
) -> dict[str, float]:
    """Score the share of the row's tests that the program in the response passes.

    Args:
        max_tests: Maximum number of tests to run per row. ExecVerify's published stage two runs the first 10.
        choose: Which tests to run: `first`, or `longest`, those with the longest inputs (pytest modules: always the first).
        all_or_nothing: Score 1.0 if every test passes, else 0.0, instead of the share. Texts stop at the first failure.
        format_bonus: Added if the response is one reasoning and one answer in their tags; 0.05 in ExecVerify.
        seconds: CPU time of the program, over all calls of a function, or for each standard input.
        memory_mb: Memory of the program in MiB.
        free_tests: Tests that an answer passes which ignores its input: `count` them; `exclude` those that nothing or any true
            value passes; `require_all` tests of a row in which one constant passes several, or nothing passes one.

    Raises:
        GroundTruthError: The row is invalid.
        SandboxError: The sandbox failed.
    """
    if max_tests < 1:
        raise ValueError(f"max_tests is {max_tests}, expected 1 or more")
    tests = read_tests(ground_truth, max_tests, choose)
    counted = free_answers.find_counted(tests, free_tests)
    all_or_nothing = all_or_nothing or (free_tests == "require_all" and free_answers.is_guessable(tests))
    well_formed = float(answers.is_well_formed(solution_str))
    if len(solution_str) <= _SHORT:
        code = _take_code(solution_str, tests)
    else:
        import asyncio  # only here: `pipeline plan` imports this module for its options

        # In a thread: a long response must not delay the others.
        code = await asyncio.to_thread(_take_code, solution_str, tests)
    limits = Limits(cpu_seconds=seconds, wall_seconds=_WALL_PER_CPU_SECOND * seconds, memory_mb=memory_mb)
    if isinstance(tests, CallTests):
        output_bytes = min(_MOST_VALUES, _SPARE_VALUES + _PACKED * len(ground_truth))
        limits = limits.allow_output(output_bytes)
    if not code:
        explain(NO_PROGRAM)
    passed = await _run(code, tests, limits, max_tests, all_or_nothing and counted is None) if code else [False]
    if code and counted is not None:
        passed = [passed[number] for number in counted]
    share = float(all(passed)) if all_or_nothing else sum(passed) / len(passed)
    return {"score": share + format_bonus * well_formed, "accuracy": share, "format": well_formed}


def _take_code(response: str, tests: Tests) -> str | None:
    code = answers.take_code(response, find_tested_names(tests))
    return code if code is None or isinstance(tests, TextTests) else leave_out_driver(code)


async def _run(code: str, tests: Tests, limits: Limits, max_tests: int, stop_early: bool) -> list[bool]:
    """Return which tests a program passes; with `stop_early`, texts only up to a failure."""
    if isinstance(tests, TextTests):
        return await _run_texts(code, tests, limits, stop_early)
    if isinstance(tests, CallTests):
        return await _run_calls(code, tests, limits, max_tests)
    passed = await run_tests(code, tests, limits, max_tests)
    if not all(passed):
        explain("{} of {} tests failed, the first is number {}", passed.count(False), len(passed), passed.index(False) + 1)
    return passed


async def _run_calls(code: str, tests: CallTests, limits: Limits, max_tests: int) -> list[bool]:
    calls = [call for test in tests.tests for call, _ in test]
    checks = [check for test in tests.tests for _, check in test]
    # What a checker or a second process reads is read here, too, so it must be small.
    small = limits.allow_output(_SPARE_OUTPUT)
    if tests.checker is not None:
        limits, checks = small, []
    outcomes = await call_function(code, tests.function, calls, limits, tests.prelude, checks)
    again: list[bool] = []
    if any(each.is_object for each in outcomes):
        try:
            if tests.source is None:
                outcomes = await call_again(code, tests.function, calls, small, tests.prelude)
            else:
                again = await run_tests(code, tests.source, limits, max_tests)
        except (NoProcessError, GroundTruthError) as error:
            # The row is valid: its tests have run. A program that claims to return an object must not make it fail.
            explain("an object was returned: {}", str(error))
    if tests.checker is not None:
        return await _check_outcomes(tests.checker, outcomes, limits)
    rest = iter(outcomes)
    passed = []
    for number, test in enumerate(tests.tests, 1):
        found = [(next(rest), check) for _, check in test]
        if len(again) == len(tests.tests) and any(outcome.is_object for outcome, _ in found):
            passed.append(again[number - 1])
        else:
            passed.append(all(_passes(number, *each) for each in found))
    return passed


async def _check_outcomes(checker: Checker, outcomes: list[Outcome], limits: Limits) -> list[bool]:
    returned = [(number, outcome.value) for number, outcome in enumerate(outcomes) if outcome.returned]
    verdicts = iter(await run_checker(checker, returned, limits))
    passed = [outcome.returned and next(verdicts) for outcome in outcomes]
    for number, (outcome, ok) in enumerate(zip(outcomes, passed, strict=True), 1):
        if not ok and not outcome.returned:
            explain("test {}: {}", number, outcome.error)
        elif not ok:
            explain("test {}: the checker rejects {}", number, outcome.value)
    return passed


def _passes(number: int, outcome: Outcome, check: Check) -> bool:
    if not outcome.returned:
        explain("test {}: {}", number, outcome.error)
        return False
    if check.accepts(outcome.value) if outcome.accepted is None else outcome.accepted:
        return True
    explain("test {}: expected {}, got {}", number, describe(check), outcome.value)
    return False


async def _run_texts(code: str, tests: TextTests, limits: Limits, stop_early: bool) -> list[bool]:
    limits = limits.allow_output(2 * max(map(len, tests.outputs)) + _SPARE_OUTPUT)
    passed: list[bool] = []
    width = 1 if stop_early else len(tests.inputs)
    while len(passed) < len(tests.inputs) and (not stop_early or all(passed)):
        begin = len(passed)
        runs = await run_texts(code, tests.inputs[begin : begin + width], limits)
        if tests.checker is not None:
            passed += await _check_runs(tests.checker, begin, runs, limits)
        else:
            numbered = enumerate(zip(runs, tests.outputs[begin : begin + width], strict=True), begin + 1)
            passed += [await _prints(number, run, expected, tests.rules) for number, (run, expected) in numbered]
        width *= 2
    return passed


async def _check_runs(checker: Checker, begin: int, runs: list[Execution], limits: Limits) -> list[bool]:
    finished = [_finishes(number, run) for number, run in enumerate(runs, begin + 1)]
    outputs = [(number, run.output) for number, (run, ok) in enumerate(zip(runs, finished, strict=True), begin) if ok]
    verdicts = iter(await run_checker(checker, outputs, limits))
    passed = [ok and next(verdicts) for ok in finished]
    for number, (run, ran, ok) in enumerate(zip(runs, finished, passed, strict=True), begin + 1):
        if ran and not ok:
            explain("test {}: the checker rejects {!r}", number, run.output)
    return passed


def _finishes(number: int, run: Execution) -> bool:
    if run.verdict != "ok":
        explain("test {}: the program ended with {}: {}", number, run.verdict, run.error.strip().rpartition("\n")[2])
    return run.verdict == "ok"


async def _prints(number: int, run: Execution, expected: str, rules: Rules) -> bool:
    if not _finishes(number, run):
        return False
    if await accepts_text(run.output, expected, **rules._asdict()):
        return True
    described = rules.describe()
    explain("test {}: expected {!r}{}, got {!r}", number, expected, described and f" ({described})", run.output)
    return False
