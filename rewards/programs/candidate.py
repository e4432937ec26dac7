"""Run a candidate's function, or tests of it, in the sandbox, and read the reports of the runners in `inside/`.

The functions that run programs raise SandboxError if the sandbox fails.
"""

from __future__ import annotations

import ast
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rewards.errors import GroundTruthError
from rewards.parsing.assertion import Arguments
from rewards.programs.inside.calls.names import SOURCE
from rewards.programs.inside.judge.check import Check
from rewards.programs.inside.judge.reports import Report, read_calls, unpack
from rewards.programs.judging import is_small, judge_calls
from rewards.sandbox import Execution, Limits, Program, SandboxError, get
from rewards.sandbox.reports import read_reports

_NOT_PLAIN = "is not plain data"
"""The end of the error of `inside/calls.py` for such a value."""


@dataclass(frozen=True)
class Outcome:
    """The result of one call."""

    returned: bool
    value: Any = None
    """An `Unread`, if it was too large to read in this process."""
    accepted: bool | None = None
    """Whether the call's check accepts the value; None without a check."""
    error: str = field(default="", compare=False)
    """Why the call did not return, for messages only."""

    @property
    def is_object(self) -> bool:
        """Whether the call returned a value that is not plain data. The program could pretend that it did."""
        return not self.returned and self.error.endswith(_NOT_PLAIN)


@dataclass(frozen=True)
class Unread:
    """A value that was checked in the sandbox; its repr is the beginning of the program's report."""

    beginning: str

    def __repr__(self) -> str:
        return self.beginning


@dataclass(frozen=True)
class SourceTests:
    """Tests that must run in a process next to the program's."""

    kind: str
    """`asserts`: each source is a test on `candidate`. `check`: one test. `pytest`: a test module."""
    sources: tuple[str, ...]
    helpers: str = ""
    """Source that runs before assertions or a check, with `candidate` defined."""
    function: str = ""
    """`name` or `Class().method`. A missing `name` is looked up in a class `Solution`."""
    prelude: str = ""
    """Source that runs before the program: imports, and classes of its inputs."""


async def call_function(
    code: str,
    function: str,
    calls: Sequence[str],
    limits: Limits | None = None,
    prelude: str | None = "",
    checks: Sequence[Check] = (),
) -> list[Outcome]:
    """Call a function of a program once for each of `calls`, in one process.

    Expected values are never sent there. The result of a call counts whatever the program does afterwards.

    Args:
        code: The program.
        function: `name` or `Class().method`. A missing `name` is looked up in a class `Solution`.
        calls: Arguments, from `pack_arguments`.
        limits: Limits of the process.
        prelude: Source that runs before the program. None: the imports that the graders of APPS, PRIME and LiveCodeBench add.
        checks: The conditions on the values, one per call. With them, an output of any size is read without holding up this
            process: values that are too large to read here are checked in the sandbox, away from the program. Without
            them, limit the output.
    """
    task = f'{{"calls": [{", ".join(calls)}], {_describe(code, function, prelude)[1:]}'
    execution = await get().run(Program(task, runner="rewards.programs.inside.calls"), limits)
    if checks and not is_small(execution.output, checks):
        outcomes = {number: _read_verdict(each) for number, each in (await judge_calls(execution.output, checks)).items()}
    else:
        reports = read_calls(execution.output.split("\n"), len(calls))
        outcomes = {number: _read_report(report, checks[number] if checks else None) for number, report in reports}
    early = execution.verdict == "ok"
    end = "the program exited before the call" if early else f"the program ended with {execution.verdict}"
    rest = outcomes.get(-1) or Outcome(False, error=end)
    return [outcomes.get(number, rest) for number in range(len(calls))]


async def run_texts(code: str, inputs: Sequence[str], limits: Limits | None = None) -> list[Execution]:
    """Run a program, with the imports that graders add, once for each standard input."""
    return await get().run_many([Program(code, given, "rewards.programs.inside.calls.names") for given in inputs], limits)


async def call_again(
    code: str, function: str, calls: Sequence[str], limits: Limits | None = None, prelude: str | None = ""
) -> list[Outcome]:
    """Call a function like `call_function`, in a process whose results another one reads.

    Iterators, deques, ranges and views are read as lists, decimal numbers and fractions as ints or floats.

    Raises:
        GroundTruthError: The arguments cannot be passed.
    """
    if prelude is None:
        prelude = SOURCE
    reports = await _run_isolated(code, SourceTests("calls", tuple(calls), function=function, prelude=prelude), limits)
    found = {int(each["i"]): each for each in reports if "i" in each}
    missing = {"e": "the program ended before the call returned"}
    answers = [found.get(number, missing) for number in range(len(calls))]
    return [Outcome(False, error=each["e"]) if "e" in each else Outcome(True, unpack(each["v"])) for each in answers]


async def run_tests(code: str, tests: SourceTests, limits: Limits | None = None, max_tests: int | None = None) -> list[bool]:
    """Run tests in a separate process, which the candidate cannot access, and return which of them passed.

    Tests that never use the program are left out. Returns [False] if the tests cannot start.

    Raises:
        GroundTruthError: The tests need an unsupported feature, or no test calls the program.
    """
    total, verdicts = 1, dict[int, bool | None]()
    for report in await _run_isolated(code, tests, limits, max_tests):
        if "total" in report:
            total = int(report["total"])
        elif "i" in report:
            verdicts[int(report["i"])] = report["ok"]
    passed = [verdict for number in range(total) if (verdict := verdicts.get(number, False)) is not None]
    if not passed:
        raise GroundTruthError("no test calls the program")
    return passed


class NoProcessError(SandboxError):
    """The sandbox does not allow the second process that tests need."""


async def _run_isolated(
    code: str, tests: SourceTests, limits: Limits | None, max_tests: int | None = None
) -> list[dict[str, Any]]:
    """Return the reports of tests."""
    token = secrets.token_hex(16)
    task = {"token": token, "kind": tests.kind, "sources": tests.sources, "helpers": tests.helpers, "max_tests": max_tests}
    # The tests are sent as standard input, which is read after the candidate's process has been forked.
    module = tests.sources[0] if tests.kind == "pytest" and tests.prelude else ""
    candidate = _describe(code, tests.function, tests.prelude, module)
    execution = await get().run(Program(candidate, json.dumps(task), "rewards.programs.inside.isolated_tests"), limits)
    reports = list(read_reports(execution.output, token))
    for report in reports:
        if "no_process" in report:
            raise NoProcessError(
                f"these tests need a second process, which this sandbox does not allow: {report['no_process']}; "
                "it needs user namespaces (see `pipeline doctor`)"
            )
        if "unsupported" in report:
            raise GroundTruthError(f"the tests cannot be run: {report['unsupported']}"[:400])
    return reports


def pack_arguments(arguments: Arguments) -> str:
    """Return the arguments of a call for `inside/calls.py`: JSON, or a Python literal if JSON would change them."""
    args, kwargs = arguments.args, dict(arguments.kwargs)
    return json.dumps([args, kwargs] if all(map(_is_json, (*args, kwargs))) else _to_literal((args, kwargs)))


def find_solution_names(source: str) -> list[str]:
    """Return the names that tests import from `solution` or use as its attributes."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)) if source else ():
        if isinstance(node, ast.ImportFrom) and node.module == "solution":
            names += [each.name for each in node.names if each.name != "*"]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "solution":
            names.append(node.attr)
    return list(dict.fromkeys(names))


def _read_report(report: Report, check: Check | None) -> Outcome:
    if report.error is not None:
        return Outcome(False, error=report.error)
    return Outcome(True, report.value, check.accepts(report.value) if check else None)


def _read_verdict(verdict: dict[str, Any]) -> Outcome:
    if "e" in verdict:
        return Outcome(False, error=verdict["e"])
    return Outcome(True, Unread(verdict["got"]), verdict["ok"])


def _describe(code: str, function: str, prelude: str | None, tests: str = "") -> str:
    tested = [function.partition(".")[0].removesuffix("()"), *find_solution_names(tests)]
    return json.dumps({"prelude": prelude, "code": code, "function": function, "tested": tested})


def _is_json(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return bool(-(1 << 64) < value < 1 << 64)
    if kind is list:
        return all(map(_is_json, value))
    if kind is dict:
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    return kind in (str, bool, float, type(None))


def _to_literal(value: Any) -> str:
    """Return source for `ast.literal_eval`: infinities as overflowing numbers, integers in hexadecimal for any length."""
    if isinstance(value, float):
        return repr(value).replace("inf", "1e999")
    if isinstance(value, list):
        return f"[{', '.join(map(_to_literal, value))}]"
    if isinstance(value, tuple):
        return f"({''.join(_to_literal(item) + ', ' for item in value)})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_to_literal(key)}: {_to_literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, set) and value:
        return f"{{{', '.join(map(_to_literal, value))}}}"
    return hex(value) if type(value) is int else repr(value)
