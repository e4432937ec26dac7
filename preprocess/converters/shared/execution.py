"""Questions about a program's execution, for every converter that has programs and calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from msgspec import Meta

from preprocess.converters.base import Options
from preprocess.converters.options import Positive
from preprocess.converters.shared import wording
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow, SftRow, Turn
from preprocess.tracing.questions import Questions, ask
from preprocess.tracing.trace import MOST_STEPS, Trace, trace
from rewards.parsing.assertion import read_arguments, read_call
from rewards.parsing.literals import is_same
from rewards.parsing.source_values import NotValueError, read_source

_MOST_CALLS = 10


class ExecutionOptions(Options, frozen=True, kw_only=True):
    """What is asked about a program."""

    task: Literal["output", "input", "both"] = "output"
    """output: what the call returns, and questions about its run; input: arguments that give the value; both: a row of each,
    but of the first alone where there are no arguments, or one is no plain value."""
    questions: Annotated[int, Meta(ge=0, le=10)] = 2
    """Most questions per call about the next line and about variables."""
    max_steps: Annotated[int, Meta(ge=1, le=5000)] = MOST_STEPS
    """Rejects calls that run more lines."""
    max_chars: Positive | None = None
    """Leaves out longer programs."""
    seed: int = 17
    """Which questions are asked."""


class FileOptions(ExecutionOptions, frozen=True, kw_only=True):
    """What is asked about the functions of a Python file."""

    max_calls: Positive = _MOST_CALLS
    """Leaves out further calls of a function."""


@dataclass(frozen=True)
class Exercise:
    """What is asked about one call."""

    trace: Trace
    name: str
    kind: Literal["io_mixed", "oi"]
    questions: Questions

    @cached_property
    def prompt(self) -> str:
        """The question."""
        if self.kind == "oi":
            return wording.ask_input(self.trace)
        return wording.ask_output(self.trace, [question.text for question in self.questions.all])

    @property
    def truth(self) -> dict[str, Any]:
        """What the white_box reward needs."""
        return {
            "type": self.kind,
            "func_str": self.trace.code,
            "func_name": self.trace.function,
            "func_args": self.trace.args,
            "result": self.trace.value,
            "question_answers": self.questions.to_truth() if self.kind == "io_mixed" else {},
        }

    def to_sft(self, problem: str) -> SftRow:
        """The question with its worked answer."""
        assertion = f"assert {self.trace.function}({self.trace.args}) == {self.trace.value}"
        lines = [assertion, *(question.answers[0] for question in self.questions.all)]
        response = wording.answer(wording.reason(self.trace), "\n".join(lines))
        return SftRow(problem, (Turn("human", self.prompt), Turn("gpt", response)))

    def to_rl(self, problem: str, source: str) -> RlRow:
        """The question with what its reward needs."""
        prompt = (Message("user", self.prompt),)
        return RlRow(problem=problem, id=self.name, data_source=source, prompt=prompt, ground_truth=self.truth)


def make_exercises(
    code: str, function: str, args: str, wanted: str | None, name: str, options: ExecutionOptions
) -> Iterator[Exercise]:
    """Runs a call and asks about it.

    Args:
        code: the program.
        function: the name of its function.
        args: source of the arguments.
        wanted: source of what the call is said to return; None where nothing is said.
        name: names the rows, and with the seed chooses the questions.
        options: what is asked.

    Raises:
        LeftOutError: the program is longer than wanted.
        RowError: there is no trace, or the call returns something else.
        SandboxError: the sandbox failed.
    """
    if options.max_chars and len(code) > options.max_chars:
        raise LeftOutError(f"the program is longer than max_chars {options.max_chars}")
    (traced,) = trace(code, function, [args], options.max_steps)
    if isinstance(traced, str):
        raise RowError(traced)
    if wanted is not None and not _is_value(traced.value, wanted):
        raise RowError(f"it returns {traced.value[:80]}, expected {wanted[:80]}")
    if options.task != "input":
        yield Exercise(traced, name, "io_mixed", ask(traced, options.questions, f"{options.seed}:{name}"))
    if options.task == "both" and _has_plain_arguments(f"{function}({args})"):
        yield Exercise(traced, f"{name}/input", "oi", Questions((), ()))
    elif options.task == "input":
        if not _has_plain_arguments(f"{function}({args})"):
            raise RowError("its arguments are not plain values, or there are none, so that no others can be found")
        yield Exercise(traced, name, "oi", Questions((), ()))


def _is_value(text: str, wanted: str) -> bool:
    try:
        return is_same(read_source(text), read_source(wanted))
    except NotValueError as error:
        raise RowError(f"not a literal: {wanted[:80]!r}") from error


def _has_plain_arguments(call: str) -> bool:
    node = read_call(call)
    arguments = read_arguments(node) if node else None
    return arguments is not None and bool(arguments.args or arguments.kwargs)
