"""The wording of prompts and answers: the same for all converters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rewards.parsing.answers import make_response
from rewards.parsing.blocks import write_block

if TYPE_CHECKING:
    from preprocess.tracing.trace import Trace

_FORM = "Think inside <reasoning></reasoning>, then answer inside <answer></answer>"
_MAX_STEPS = 6


def ask_output(trace: Trace, questions: Sequence[str]) -> str:
    """Return a prompt that asks for the return value of a call, and questions about its run."""
    parts = [write_block(trace.code), f"Complete the assertion: assert {trace.function}({trace.args}) == ??"]
    parts += [f"{number}. {question}" for number, question in enumerate(questions, 1)]
    if not questions:
        return "\n".join([*parts, f"{_FORM}: the whole assertion."])
    rules = "a line as it stands, or -1 for none; `value; type`, or Nil for none"
    return "\n".join([*parts, f"{_FORM}: first the whole assertion, then one line per question ({rules})."])


def ask_input(trace: Trace) -> str:
    """Return a prompt that asks for arguments that give a value."""
    task = f"Find arguments that make it true: assert {trace.function}(??) == {trace.value}"
    form = "the complete test case in a python block, with the function and, after it, the whole assertion"
    return "\n".join([write_block(trace.code), task, f"{_FORM}: {form}."])


def ask_single(trace: Trace, question: str, form: str) -> str:
    """Return a prompt that asks one question about the run of a call."""
    return "\n".join([write_block(trace.code), question, f"{_FORM}: {form}."])


def ask_code(statement: str, signature: str | None) -> str:
    """Return a prompt that asks for a program; see `CodeTask.signature`."""
    shown = ["The program reads standard input and writes to standard output."] if signature is None else []
    if signature:
        shown = [write_block(signature)]
    return "\n".join([statement.strip(), *shown, f"{_FORM}: the whole program in a python block."])


def answer(reasoning: str, answer_text: str) -> str:
    """Return a response in the form that the prompts ask for."""
    return make_response(answer_text.strip(), reasoning.strip())


def reason(trace: Trace, worked: bool = True) -> str:
    """Return what the run did, step by step, without the middle of a long run; if not `worked`, only what it returned."""
    if not worked:
        return f"returns {trace.value}"
    steps = [[f"{name} = {value.text}" for name, value in step.changed.items() if value] for step in trace.done_steps]
    lines = [", ".join(changes) for changes in steps if changes]
    if len(lines) > _MAX_STEPS:
        half = _MAX_STEPS // 2
        lines = [*lines[:half], "...", *lines[-half:]]
    return "\n".join([*lines, f"returns {trace.value}"])
