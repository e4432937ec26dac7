"""Problems that ask for a program, from any source: their rows, with or without the interpreter tool."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from preprocess.converters.base import Converter
from preprocess.converters.options import Positive
from preprocess.converters.shared import wording
from preprocess.converters.shared.packages import find_imports, find_missing_packages
from preprocess.converters.shared.several_answers import find_rules
from preprocess.converters.shared.tool_calls import ToolOptions, call_interpreter, make_row
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow, SftRow, to_json
from rewards.errors import GroundTruthError
from rewards.parsing.answers import normalise, take_code
from rewards.parsing.blocks import write_block
from rewards.programs.ground_truth import read_tests
from rewards.suggestions import suggestion


class CodeOptions(ToolOptions, frozen=True, kw_only=True):
    """Options of programming problems."""

    max_chars: Positive | None = None
    """Leave out problems whose statement or solution is longer."""
    max_tests: Positive = 10
    """Number of tests to keep per problem, from the first."""
    packages: tuple[str, ...] = ()
    """Packages of the sandbox in addition to the standard library and sortedcontainers; problems whose tests need others are
    left out."""


@dataclass(frozen=True, kw_only=True)
class CodeTask:
    """One problem."""

    source: str
    """Data source of the rows."""
    statement: str
    signature: str | None = None
    """Beginning of the program in the prompt. Empty: the statement shows it. None: the program reads standard input."""
    solution: str | None = None
    """A right program."""
    unusable: RowError | None = None
    """Why none of the source's solutions is one; None if it has none."""
    make_truth: Callable[[], dict[str, Any] | None]
    """Return the tests in a form of the code_tests reward, or None; raise RowError. Called only if the row needs tests."""
    plan: str = ""
    """Reasoning of the SFT answer. Default: the last line of the signature."""
    id: str = ""
    """Name of the row, unique within its source. Default: its file and line."""
    problem: str = ""
    """Problem of the rows. Default: a digest of the question, because a source may have one statement under two names."""
    messages: tuple[Message, ...] = ()
    """Prompt of the RL row. Default: the question."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Facts for the row's detail, in addition to the solution; those that are None are dropped."""


_SOURCES = ("prelude", "functional", "pytest")
"""Fields of a ground truth that are Python."""

OptionsT = TypeVar("OptionsT", bound=CodeOptions)
RecordT = TypeVar("RecordT", bound=msgspec.Struct)
RowT = TypeVar("RowT", SftRow, RlRow)


def make_converter(
    name: str, help_: str, record: type[RecordT], options: type[OptionsT], read_task: Callable[[RecordT, OptionsT], CodeTask]
) -> Converter[RecordT, OptionsT]:
    """Return the converter of a source whose records are one problem each."""

    def make_rows(make: Callable[[CodeTask, OptionsT], RowT], record: RecordT, options: OptionsT) -> list[RowT]:
        try:
            return [make(_check_solution(read_task(record, options), options), options)]
        except RecursionError:
            raise RowError("a program or a test is nested too deeply") from None

    sft, rl = functools.partial(make_rows, _make_sft), functools.partial(make_rows, _make_rl)
    return Converter(name, help_, record, options, sft, rl)


def _check_solution(task: CodeTask, options: CodeOptions) -> CodeTask:
    """Return a problem without its solution if that needs a package that the sandbox does not have."""
    solution = normalise(task.solution or "")
    missing = find_missing_packages(_find_imports(solution), options.packages)
    if missing:
        return dataclasses.replace(task, solution=None, unusable=LeftOutError(f"its solution needs {missing}"))
    return dataclasses.replace(task, solution=solution or None)


def _find_imports(program: str) -> set[str]:
    """Return the modules that a program imports; none if it does not parse."""
    try:
        return find_imports(ast.parse(program)) if "import" in program else set()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()


def _make_sft(task: CodeTask, options: CodeOptions) -> SftRow:
    """Return the problem with its solution; with the tool, the solution is run before it is the answer."""
    question = _ask(task, options)
    if not task.solution:
        raise task.unusable or LeftOutError("it has no solution")
    last_line = (task.signature or "").strip().rpartition("\n")[2].strip().removesuffix(":")
    plan = task.plan or f"To write: {last_line or 'a program that prints what is asked for.'}"
    calls = [call_interpreter(task.solution, _read_truth(task, options))] if options.tool else []
    answer = wording.answer(plan, write_block(task.solution))
    if (take_code(answer) or "").strip() != task.solution.strip():
        raise LeftOutError("its solution has the tags of an answer")
    return make_row(task.problem or name_problem(task.source, question), question, answer, calls)


def _make_rl(task: CodeTask, options: CodeOptions) -> RlRow:
    """Return the problem with its tests."""
    question = _ask(task, options)
    facts = {**task.detail, "solution": task.solution or None}
    if task.unusable and not task.solution:
        facts["no_solution"] = str(task.unusable)
    return RlRow(
        problem=task.problem or name_problem(task.source, question),
        id=task.id,
        data_source=task.source,
        prompt=options.add_system(task.messages or (Message("user", question),)),
        ground_truth=_read_truth(task, options),
        detail={name: value for name, value in facts.items() if value not in (None, "")},
        tools=options.tools,
    )


def name_problem(source: str, prompt: str) -> str:
    """Return a name that rows with the same prompt share."""
    return f"{source}/{hashlib.sha256(prompt.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def check_choice(name: str, value: str | None, allowed: Collection[str | None], known: Collection[str] = ()) -> None:
    """Check a value that an option selects by.

    Args:
        name: The name of the value.
        value: Its value; None or empty if the record has none.
        allowed: The values that the option keeps; None for records without one.
        known: All values that exist; empty: any.

    Raises:
        RowError: The value does not exist.
        LeftOutError: The option leaves out records with this value.
    """
    if value and known and value not in known:
        raise RowError(f"{name} is {value[:60]!r}{suggestion(value, known)}")
    if (value or None) not in allowed:
        raise LeftOutError(f"its {name} is {value}")


def _ask(task: CodeTask, options: CodeOptions) -> str:
    if not task.statement.strip():
        raise RowError("the problem has no statement")
    if options.max_chars and max(len(task.statement), len(task.solution or "")) > options.max_chars:
        raise LeftOutError(f"the statement or the solution is longer than max_chars {options.max_chars}")
    return wording.ask_code(task.statement, task.signature)


def _read_truth(task: CodeTask, options: CodeOptions) -> dict[str, Any]:
    truth = task.make_truth()
    if truth is None:
        raise LeftOutError("it has no tests")
    if "inputs" in truth:
        truth = {**truth, **find_rules(task.statement, bool(truth.get("fn_name")))}
    try:
        read_tests(to_json(truth), options.max_tests)
    except GroundTruthError as error:
        raise RowError(str(error)) from error
    modules = {name for part in _SOURCES if part in truth for name in _find_modules(truth[part])}
    if missing := find_missing_packages(modules, options.packages):
        raise LeftOutError(f"its tests need {missing}")
    return truth


@functools.lru_cache(maxsize=64)
def _find_modules(source: str) -> frozenset[str]:
    """Return the modules that a source imports. Many rows of a data set have one prelude."""
    return frozenset(find_imports(ast.parse(source))) if "import" in source else frozenset()
