"""Questions about a program's execution, for every converter that has programs and calls."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from preprocess import prompts
from preprocess.converters.base import Options
from preprocess.errors import LeftOutError
from preprocess.rows import Message, RlRow, SftRow, Turn
from preprocess.tracing.questions import Questions, ask
from preprocess.tracing.trace import Trace


class ExecutionOptions(Options):
    """What is asked about a program."""

    task: Literal["output", "input"] = "output"
    """output: what the call returns, and questions about its run; input: arguments that give the value."""
    questions: int = Field(2, ge=0, le=10)
    """Most questions per call about the next line and about variables."""
    max_chars: int | None = Field(None, ge=1)
    """Leaves out longer programs."""
    seed: int = 17
    """Which questions are asked."""


def check_length(code: str, options: ExecutionOptions) -> None:
    """Raises:
    LeftOutError: the program is longer than wanted.
    """
    if options.max_chars and len(code) > options.max_chars:
        raise LeftOutError(f"the program is longer than max_chars {options.max_chars}")


def make_sft(trace: Trace, name: str, problem: str, options: ExecutionOptions) -> SftRow:
    """The question with its worked answer."""
    prompt, questions = _ask(trace, name, options)
    assertion = f"assert {trace.function}({trace.args}) == {trace.value}"
    lines = [assertion, *(question.answers[0] for question in questions.all)]
    response = prompts.answer(prompts.reason(trace), "\n".join(lines))
    return SftRow(problem, (Turn("human", prompt), Turn("gpt", response)))


def make_rl(trace: Trace, name: str, problem: str, source: str, options: ExecutionOptions) -> RlRow:
    """The question with what the white_box reward needs."""
    prompt, questions = _ask(trace, name, options)
    truth: dict[str, Any] = {
        "type": "io_mixed" if options.task == "output" else "oi",
        "func_str": trace.code,
        "func_name": trace.function,
        "func_args": trace.args,
        "result": trace.value,
        "question_answers": questions.to_truth() if options.task == "output" else {},
    }
    return RlRow(problem, name, source, (Message("user", prompt),), truth)


def _ask(trace: Trace, name: str, options: ExecutionOptions) -> tuple[str, Questions]:
    if options.task == "input":
        prompt, questions = prompts.ask_input(trace), Questions((), ())
    else:
        questions = ask(trace, options.questions, f"{options.seed}:{name}")
        prompt = prompts.ask_output(trace, [question.text for question in questions.all])
    return prompt, questions
