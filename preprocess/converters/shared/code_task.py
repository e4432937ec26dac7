"""Problems that ask for a program, for every converter that has them: their rows, with or without a tool."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.options import Positive
from preprocess.converters.shared import wording
from preprocess.converters.shared.tool_calls import call_interpreter
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow, SftRow, Shape, Turn, to_json
from preprocess.sources.reading import Record
from rewards.builtin import interpreter_tool
from rewards.errors import GroundTruthError
from rewards.programs.ground_truth import parse_tests


class CodeOptions(Options, frozen=True, kw_only=True):
    """Which problems are taken, and how they are asked."""

    max_chars: Positive | None = None
    """Leaves out problems whose statement, or whose solution, is longer."""
    max_tests: Positive = 10
    """Tests kept per problem, from the first."""
    tool: Literal["python_interpreter"] | None = None
    """The rows are for a model that may call this tool on its way to the answer."""

    def runs_programs(self, shape: Shape) -> bool:
        """A conversation with the tool holds what the tool really said."""
        return shape == "sft" and self.tool is not None


@dataclass(frozen=True, kw_only=True)
class CodeTask:
    """One problem."""

    source: str
    """The rows' data source."""
    statement: str
    signature: str | None
    """The beginning of the program, as the prompt shows it; empty where the statement does, None for a program that reads
    standard input."""
    solution: str | None
    """A right program; None where the source has none."""
    make_truth: Callable[[], dict[str, Any]]
    """The tests in a form of the code_tests reward; raises RowError. Asked for only where they are needed."""
    plan: str = ""
    """What a model is taught to think before it answers; empty: the last line of the signature."""
    id: str = ""
    """Names the row; unique within its source. Empty: its file and line."""
    problem: str = ""
    """As of the rows. Empty: a digest of the prompt, for many a source has one statement under two names."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Facts that go into the row's detail, beside the solution."""


OptionsT = TypeVar("OptionsT", bound=CodeOptions)
RecordT = TypeVar("RecordT", bound=msgspec.Struct)
RowT = TypeVar("RowT", SftRow, RlRow)


def make_converter(
    name: str,
    help_: str,
    record: type[RecordT],
    options: type[OptionsT],
    read_task: Callable[[RecordT, OptionsT], CodeTask],
    *,
    read: Callable[[Path, OptionsT], Iterator[Record]] | None = None,
    example_name: str = "",
) -> Converter[RecordT, OptionsT]:
    """The converter of a source of which each record is one problem; `read` and `example_name` as in Converter."""

    def make(shape: Callable[[CodeTask, OptionsT], RowT]) -> Callable[[RecordT, OptionsT], list[RowT]]:
        def make_row(record: RecordT, options: OptionsT) -> list[RowT]:
            try:
                return [shape(read_task(record, options), options)]
            except RecursionError:
                raise RowError("a program or a test is nested too deeply") from None

        return make_row

    return Converter(
        name,
        help_,
        record,
        options,
        make(make_sft),
        make(make_rl),
        read=read,
        example_name=example_name,
    )


def make_sft(task: CodeTask, options: CodeOptions) -> SftRow:
    """The problem with its solution; with a tool, the solution is tried before it is the answer.

    Raises:
        LeftOutError: there is no solution, something is longer than wanted, or the tool cannot show the solution.
        RowError: there is no statement, or the tests are broken.
        SandboxError: programs cannot be run.
    """
    _check(task, options)
    if not task.solution:
        raise LeftOutError("it has no solution")
    prompt = ask(task)
    answer = wording.answer_code(task.plan or _plan(task), task.solution)
    first, last = Turn("human", prompt), Turn("gpt", answer)
    problem = task.problem or name_problem(task.source, prompt)
    if options.tool is None:
        return SftRow(problem, (first, last))
    call, reply = call_interpreter(task.solution, check_truth(task.make_truth(), options))
    turns = (first, Turn("function_call", call), Turn("observation", reply), last)
    return SftRow(problem, turns, interpreter_tool.SYSTEM, json.dumps([interpreter_tool.SCHEMA]))


def make_rl(task: CodeTask, options: CodeOptions) -> RlRow:
    """The problem with its tests.

    Raises:
        LeftOutError: there are no tests, or something is longer than wanted.
        RowError: there is no statement, or the tests are broken.
    """
    _check(task, options)
    prompt = ask(task)
    return RlRow(
        problem=task.problem or name_problem(task.source, prompt),
        id=task.id,
        data_source=task.source,
        prompt=add_system((Message("user", prompt),), options),
        ground_truth=check_truth(task.make_truth(), options),
        detail={**task.detail, **({"solution": task.solution} if task.solution else {})},
        tools=name_tools(options),
    )


def ask(task: CodeTask) -> str:
    """What the model is asked."""
    if task.signature is None:
        return wording.ask_program(task.statement)
    return wording.ask_code(task.statement, task.signature)


def _check(task: CodeTask, options: CodeOptions) -> None:
    if not task.statement.strip():
        raise RowError("the problem has no statement")
    if options.max_chars and max(len(task.statement), len(task.solution or "")) > options.max_chars:
        raise LeftOutError(f"the statement or the solution is longer than max_chars {options.max_chars}")


def check_truth(truth: dict[str, Any], options: CodeOptions) -> dict[str, Any]:
    """The tests, if the code_tests reward can read them.

    Raises:
        RowError: it cannot.
    """
    try:
        parse_tests(to_json(truth), options.max_tests)
    except GroundTruthError as error:
        raise RowError(str(error)) from error
    return truth


def add_system(prompt: tuple[Message, ...], options: CodeOptions) -> tuple[Message, ...]:
    """The prompt with the tool's system message, where there is a tool: in place of another one."""
    if options.tool is None:
        return prompt
    rest = (message for message in prompt if message.role != "system")
    return (Message("system", interpreter_tool.SYSTEM), *rest)


def name_tools(options: CodeOptions) -> tuple[str, ...]:
    """The row's tools."""
    return (interpreter_tool.NAME,) if options.tool else ()


def name_problem(source: str, prompt: str) -> str:
    """A name that rows with the same prompt share."""
    return f"{source}/{hashlib.sha256(prompt.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _plan(task: CodeTask) -> str:
    if not task.signature:
        return "To write: a program that prints what is asked for."
    return f"To write: {task.signature.strip().splitlines()[-1].strip().removesuffix(':')}"
