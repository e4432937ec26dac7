"""Questions about the execution of a program: rows of all converters whose sources have programs and calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.options import Positive
from preprocess.converters.shared import wording
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow, SftRow, Turn
from preprocess.tracing.questions import Questions, make_questions
from preprocess.tracing.trace import MAX_STEPS, Trace, trace
from rewards.parsing.assertion import read_arguments, read_call
from rewards.parsing.blocks import write_block
from rewards.parsing.source_values import NotValueError, is_same, read_source


class ExecutionOptions(Options, frozen=True, kw_only=True):
    """Options of questions about a program."""

    task: Literal["output", "input", "both"] = "output"
    """output: ask for the return value, and about the run; input: ask for arguments that give the value; both: one row of
    each, but only the first if there are no arguments, or one is not a plain value."""
    questions: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    """Maximum number of questions per call about the next line and about variables."""
    worked: bool = True
    """Show in the answers of SFT rows what each line of the run changes; false: only the result."""
    max_steps: Annotated[int, msgspec.Meta(ge=1, le=5000)] = MAX_STEPS
    """Reject calls that run more lines."""
    max_chars: Positive | None = None
    """Leave out longer programs."""
    seed: Annotated[int, msgspec.Meta(ge=0)] = 17
    """Seed of the choice of questions."""


class FileOptions(ExecutionOptions, frozen=True, kw_only=True):
    """Options of questions about the functions of a Python file."""

    max_calls: Positive = 10
    """Leave out further calls of a function."""


@dataclass(frozen=True)
class Exercise:
    """The questions about one call."""

    trace: Trace
    problem: str
    name: str
    kind: Literal["io_mixed", "oi"]
    questions: Questions
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Facts for the detail of its RL row."""
    worked: bool = True

    @cached_property
    def prompt(self) -> str:
        """The text of the prompt."""
        if self.kind == "oi":
            return wording.ask_input(self.trace)
        return wording.ask_output(self.trace, [question.text for question in self.questions.all])

    @property
    def truth(self) -> dict[str, Any]:
        """Ground truth of the white_box reward."""
        return {
            "type": self.kind,
            "func_str": self.trace.code,
            "func_name": self.trace.function,
            "func_args": self.trace.args,
            "result": self.trace.value,
            "question_answers": self.questions.to_truth() if self.kind == "io_mixed" else {},
        }

    def to_sft(self) -> SftRow:
        """Return the prompt with its answer, worked out if the options ask for it."""
        assertion = f"assert {self.trace.function}({self.trace.args}) == {self.trace.value}"
        if self.kind == "oi":
            answer = write_block(f"{self.trace.code.rstrip()}\n\n{assertion}")
        else:
            answer = "\n".join([assertion, *(question.answers[0] for question in self.questions.all)])
        response = wording.answer(wording.reason(self.trace, self.worked), answer)
        return SftRow(self.problem, (Turn("human", self.prompt), Turn("gpt", response)))

    def to_rl(self, source: str) -> RlRow:
        """Return the prompt with its ground truth."""
        prompt = (Message("user", self.prompt),)
        return RlRow(
            problem=self.problem,
            id=self.name,
            data_source=source,
            prompt=prompt,
            ground_truth=self.truth,
            detail=self.detail,
        )


OptionsT = TypeVar("OptionsT", bound=ExecutionOptions)
RecordT = TypeVar("RecordT", bound=msgspec.Struct)


def make_converter(
    name: str,
    help_: str,
    record: type[RecordT],
    options: type[OptionsT],
    source: str,
    ask: Callable[[RecordT, OptionsT], Iterator[Exercise]],
) -> Converter[RecordT, OptionsT]:
    """Return the converter of a source whose records are one call each; `source` is the data source of its RL rows."""
    return Converter(
        name,
        help_,
        record,
        options,
        lambda record, options: [each.to_sft() for each in ask(record, options)],
        lambda record, options: [each.to_rl(source) for each in ask(record, options)],
        runs_programs=True,
    )


def make_exercises(
    code: str,
    function: str,
    args: str,
    expected: str | None,
    problem: str,
    name: str,
    options: ExecutionOptions,
    detail: Mapping[str, Any] | None = None,
) -> Iterator[Exercise]:
    """Run a call of a program's function and ask about it.

    Args:
        args: Source of the arguments.
        expected: Source of the documented return value, if any.
        name: Name of the rows; with the seed, it selects the questions.
        detail: Facts for the detail of the RL rows.

    Raises:
        LeftOutError: the program is longer than `max_chars`.
        RowError: the call cannot be traced, or returns something else.
        SandboxError: the sandbox failed.
    """
    if options.max_chars and len(code) > options.max_chars:
        raise LeftOutError(f"the program is longer than max_chars {options.max_chars}")
    traced = trace(code, function, args, options.max_steps)
    if expected is not None and not _is_value(traced.value, expected):
        raise RowError(f"it returns {traced.value[:80]}, expected {expected[:80]}")
    if options.task != "input":
        questions = make_questions(traced, options.questions, f"{options.seed}:{name}")
        yield Exercise(traced, problem, name, "io_mixed", questions, detail or {}, options.worked)
    if options.task == "output":
        return
    node = read_call(f"{function}({args})")
    arguments = read_arguments(node) if node else None
    if arguments and (arguments.args or arguments.kwargs):
        row = f"{name}/input" if options.task == "both" else name
        yield Exercise(traced, problem, row, "oi", Questions((), ()), detail or {}, options.worked)
    elif options.task == "input":
        raise RowError("its arguments are not plain values, or it has none: other arguments cannot be found")


def _is_value(text: str, expected: str) -> bool:
    try:
        return is_same(read_source(text), read_source(expected))
    except NotValueError as error:
        raise RowError(f"not a literal: {expected[:80]!r}") from error
