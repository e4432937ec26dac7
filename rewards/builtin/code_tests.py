"""code_tests: the share of tests that the program in a response passes.

The ground truth is a JSON object of one of three forms: `inputs` and `outputs` (with `fn_name`: calls of that function,
each input a list of arguments, an object of named ones, or a string with one JSON value per line; without: texts for
standard input and output; `any_order` where the lines, or the items of a list, may come in any), `functional` (source that
defines `check(candidate)` and ends by calling it), or `pytest` (source of tests that import from `solution`); each with an
optional `prelude` that runs before the program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rewards.parsing import answers
from rewards.programs import cheats
from rewards.programs.candidate import Candidate, Outcome, call_packed, run_tests, run_texts
from rewards.programs.comparison import is_accepted_text
from rewards.programs.expected_calls import Check
from rewards.programs.ground_truth import CallTests, Choose, SourceTests, Tests, TextTests, read_tests
from rewards.reasons import explain
from rewards.registry import register
from rewards.sandbox import Execution, Limits

_PATIENCE = 6
"""Wall time over CPU time: a busy machine must not turn a right program into a wrong one."""
_SPARE_OUTPUT = 1_000_000
_VALUES_OUTPUT = 32_000_000


def _reference(ground_truth: str, extra_info: Mapping[str, Any]) -> str | None:
    detail = extra_info.get("detail")
    try:
        solution = (json.loads(detail) if isinstance(detail, str) else detail or {}).get("solution")
    except (ValueError, AttributeError):
        return None
    if not isinstance(solution, str) or not solution.strip():
        return None
    return answers.make_response(f"```python\n{solution.strip()}\n```")


def _cheats(ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, str]:
    programs = cheats.write(read_tests(ground_truth, max_tests=10))
    return {name: answers.make_response(f"```python\n{program}\n```") for name, program in programs.items()}


@register("code_tests", reference=_reference, cheats=_cheats)
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
) -> dict[str, float]:
    """The share of the row's tests that the program in the response passes.

    Args:
        max_tests: run so many of a row's tests; ExecVerify's published stage two takes the first 10.
        choose: which: `first`, or `longest`, those with the longest inputs (pytest modules: always the first).
        all_or_nothing: 1.0 where every test passes and else 0.0, in place of the share; texts stop at the first that fails.
        format_bonus: added where the response is one reasoning and one answer in their tags; 0.05 in ExecVerify.
        seconds: CPU time of the program, over all calls of a function; for each text from standard input.
        memory_mb: memory of the program in MiB.

    Raises:
        GroundTruthError: the row is broken.
        SandboxError: the sandbox failed.
    """
    if max_tests < 1:
        raise ValueError(f"max_tests is {max_tests}, expected 1 or more")
    tests = read_tests(ground_truth, max_tests, choose)
    well_formed = float(answers.is_well_formed(solution_str))
    code = answers.take_code(solution_str)
    limits = Limits(cpu_seconds=seconds, wall_seconds=_PATIENCE * seconds, memory_mb=memory_mb)
    if not code:
        explain("no program in the response")
    passed = await judge(code, tests, limits, max_tests, all_or_nothing) if code else [False]
    share = float(all(passed)) if all_or_nothing else sum(passed) / len(passed)
    return {"score": share + format_bonus * well_formed, "accuracy": share, "format": well_formed}


async def judge(code: str, tests: Tests, limits: Limits, max_tests: int, stop_early: bool = False) -> list[bool]:
    """Which tests a program passes; with `stop_early`, up to a failing one.

    Raises:
        GroundTruthError: the tests need what their runner has not.
        SandboxError: the sandbox failed.
    """
    if isinstance(tests, TextTests):
        return await _judge_texts(code, tests, limits, stop_early)
    if isinstance(tests, SourceTests):
        held = await run_tests(Candidate(code, tests.function, tests.prelude), tests.source, limits, max_tests)
        if not all(held):
            explain("{} of {} tests failed, the first is number {}", held.count(False), len(held), held.index(False) + 1)
        return held
    return await _judge_calls(code, tests, limits)


async def _judge_calls(code: str, tests: CallTests, limits: Limits) -> list[bool]:
    outcomes = await call_packed(Candidate(code, tests.function, tests.prelude), tests.calls, _allow(limits, _VALUES_OUTPUT))
    return [all(_holds(number, outcomes[call], check) for call, check in test) for number, test in enumerate(tests.tests, 1)]


def _holds(number: int, outcome: Outcome, check: Check) -> bool:
    if outcome.returned and check.accepts(outcome.value):
        return True
    if outcome.returned:
        explain("test {}: expected {}, got {}", number, check.describe(), outcome.value)
    else:
        explain("test {}: {}", number, outcome.why)
    return False


async def _judge_texts(code: str, tests: TextTests, limits: Limits, stop_early: bool) -> list[bool]:
    limits = _allow(limits, 2 * max(map(len, tests.outputs)) + _SPARE_OUTPUT)
    passed: list[bool] = []
    width = 1 if stop_early else len(tests.inputs)
    while len(passed) < len(tests.inputs) and (not stop_early or all(passed)):
        begin = len(passed)
        runs = await run_texts(code, tests.inputs[begin : begin + width], limits)
        wanted = tests.outputs[begin : begin + width]
        numbered = enumerate(zip(runs, wanted, strict=True), begin + 1)
        passed += [_is_right(number, run, text, tests.any_order) for number, (run, text) in numbered]
        width *= 2
    return passed


def _is_right(number: int, run: Execution, wanted: str, any_order: bool) -> bool:
    if run.verdict != "ok":
        explain("test {}: the program ended with {}: {}", number, run.verdict, run.error.strip().rpartition("\n")[2])
        return False
    if is_accepted_text(run.output, wanted, any_order):
        return True
    explain("test {}: expected {!r}, got {!r}", number, wanted, run.output)
    return False


def _allow(limits: Limits, output_bytes: int) -> Limits:
    return Limits(limits.cpu_seconds, limits.wall_seconds, limits.memory_mb, output_bytes=output_bytes)
