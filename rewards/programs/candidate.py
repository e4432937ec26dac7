"""Running a candidate's function or the tests of it in the sandbox, and reading what the runners in `inside/` report."""

from __future__ import annotations

import ast
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rewards.errors import GroundTruthError
from rewards.sandbox import Execution, Limits, Program, SandboxError, get
from rewards.sandbox.reports import read_reports


@dataclass(frozen=True)
class Candidate:
    """A program and the function of it that is tested."""

    code: str
    function: str = ""
    """`name`, or `Class().method`; a name that is not there is looked for in a class `Solution`."""
    prelude: str | None = ""
    """Source that runs before it: imports, and classes that its inputs are made of. None for the imports that the graders
    of APPS, PRIME and LiveCodeBench put before a program (not for tests that run beside it)."""


@dataclass(frozen=True)
class Call:
    """The arguments of one call: plain Python values."""

    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()

    def to_json(self) -> str:
        """What `inside/calls.py` reads: the arguments as JSON, or as a Python literal where JSON would change them."""
        whole = [list(self.args), dict(self.kwargs)]
        return json.dumps(whole if _is_json(whole) else _to_literal((self.args, dict(self.kwargs))))


@dataclass(frozen=True)
class Outcome:
    """What one call came to."""

    returned: bool
    value: Any = None
    why: str = field(default="", compare=False)
    """Where it did not return: what the program says, or how it ended; for people."""


@dataclass(frozen=True)
class TestSource:
    """Tests that only run beside the program: source, and how it is to be taken."""

    __test__ = False

    kind: str
    """`asserts`: statements, each a test, on `candidate`. `check`: one test. `pytest`: a test module."""
    sources: tuple[str, ...]
    helpers: str = ""
    """Source that runs before an assertion or a check, with `candidate` in reach."""


async def call_function(candidate: Candidate, calls: Sequence[Call], limits: Limits | None = None) -> list[Outcome]:
    """Calls the function once per `calls`, in one process. What was to be returned never goes there.

    What a call returned counts whatever the program comes to afterwards.

    Raises:
        SandboxError: the sandbox failed.
    """
    return await call_packed(candidate, [call.to_json() for call in calls], limits)


async def call_packed(candidate: Candidate, calls: Sequence[str], limits: Limits | None = None) -> list[Outcome]:
    """`call_function` for calls that are JSON already."""
    task = f'{{"calls": [{", ".join(calls)}], {_describe(candidate)[1:]}'
    execution = await get().run(Program(task, runner="rewards.programs.inside.calls"), limits)
    outcomes: dict[int, Outcome] = {}
    for line in execution.output.split("\n"):
        number, outcome = _read_outcome(line)
        if -1 <= number < len(calls):
            outcomes.setdefault(number, outcome)
    rest = outcomes.get(-1) or Outcome(False, why=_describe_end(execution))
    return [outcomes.get(number, rest) for number in range(len(calls))]


async def run_texts(code: str, inputs: Sequence[str], limits: Limits | None = None) -> list[Execution]:
    """Runs a program, with the imports that graders give, once per text for its standard input.

    Raises:
        SandboxError: the sandbox failed.
    """
    program = json.dumps({"program": code})
    return await get().run_many([Program(program, given, "rewards.programs.inside.calls") for given in inputs], limits)


async def run_tests(
    candidate: Candidate, tests: TestSource, limits: Limits | None = None, max_tests: int | None = None
) -> list[bool]:
    """Runs tests in a process of their own beside the candidate's, which never sees them; whether each one held.

    A test that never turns to the program is left out. At least one verdict: where the tests cannot begin, that is False.

    Raises:
        GroundTruthError: the tests need what this runner has not, or none of them turns to the program.
        SandboxError: the sandbox failed.
    """
    token = secrets.token_hex(16)
    task = {"token": token, "kind": tests.kind, "sources": tests.sources, "helpers": tests.helpers, "max_tests": max_tests}
    # The tests come by standard input, which is read after the candidate's process has left.
    module = tests.sources[0] if tests.kind == "pytest" and candidate.prelude else ""
    program = Program(_describe(candidate, module), json.dumps(task), "rewards.programs.inside.isolated_tests")
    execution = await get().run(program, limits)
    total, verdicts = 1, dict[int, bool | None]()
    for report in read_reports(execution.output, token):
        if "no_process" in report:
            raise SandboxError(
                "these tests run in a process beside the program's, which this sandbox does not allow: "
                f"{report['no_process']}; it needs user namespaces (see `pipeline doctor`)"
            )
        if "unsupported" in report:
            raise GroundTruthError(f"the tests cannot be run: {report['unsupported']}"[:400])
        if "total" in report:
            total = int(report["total"])
        elif "i" in report:
            verdicts[int(report["i"])] = report["ok"]
    known = [verdicts.get(number, False) for number in range(total)]
    counted = [verdict for verdict in known if verdict is not None]
    if not counted:
        raise GroundTruthError("no test turns to the program")
    return counted


def unpack(data: Any) -> Any:
    """The value that `inside/calls.py` packed: of exact built-in types, so that comparing it runs nobody's code."""
    if isinstance(data, list):
        return [unpack(item) for item in data]
    if not isinstance(data, dict):
        return data
    ((kind, content),) = data.items()
    if kind == "d":
        return {unpack(key): unpack(value) for key, value in content}
    return _UNPACK[kind](content)


_UNPACK: dict[str, Any] = {
    "t": lambda content: tuple(map(unpack, content)),
    "s": lambda content: set(map(unpack, content)),
    "f": lambda content: frozenset(map(unpack, content)),
    "i": lambda content: int(content, 16),
    "b": bytes,
    "c": lambda content: complex(*content),
}


def _describe(candidate: Candidate, tests: str = "") -> str:
    tested = [candidate.function.partition(".")[0].removesuffix("()"), *_find_imports(tests)]
    return json.dumps({"prelude": candidate.prelude, "code": candidate.code, "function": candidate.function, "tested": tested})


def _find_imports(tests: str) -> list[str]:
    """The names that a test module asks of `solution`."""
    names = []
    for node in ast.walk(ast.parse(tests)):
        if isinstance(node, ast.ImportFrom) and node.module == "solution":
            names += [each.name for each in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "solution":
            names.append(node.attr)
    return names


def _read_outcome(line: str) -> tuple[int, Outcome]:
    # The candidate can write here whatever it likes: nothing but one value per call comes of it.
    if not line.startswith('{"i": '):
        return -2, Outcome(False)
    try:
        report = json.loads(line)
        number = int(report["i"])
        if "e" in report or number < 0:
            return number, Outcome(False, why=str(report["e"]))
        return number, Outcome(True, unpack(report["v"]))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return -2, Outcome(False)


def _describe_end(execution: Execution) -> str:
    if execution.verdict == "ok":
        return "the program left before it was called"
    return f"the program ended with {execution.verdict}"


def _is_json(value: Any) -> bool:
    kind = type(value)
    if kind in (str, bool, type(None)):
        return True
    if kind is int:
        return bool(-(1 << 64) < value < 1 << 64)
    if kind is float:
        return True
    if kind is list:
        return all(map(_is_json, value))
    return kind is dict and not any(type(key) is not str or not _is_json(item) for key, item in value.items())


def _to_literal(value: Any) -> str:
    """Source that `ast.literal_eval` reads: infinities as numbers too large, and whole ones of any length."""
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
