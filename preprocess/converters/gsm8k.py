"""gsm8k: grade school mathematics (openai/gsm8k): worked answers to learn from, final numbers for verl's own grader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.calculations import MARK, write_calls
from preprocess.converters.shared.tool_calls import call_in_turn
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow, SftRow, Shape, Turn
from rewards.builtin import interpreter_tool

# verl's own words (examples/data_preprocess/gsm8k.py): its grader takes the number after the marks.
_INSTRUCTION = 'Let\'s think step by step and output the final answer after "####".'
_FINAL = re.compile(r"#### (-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*$")


class Gsm8kOptions(Options, frozen=True, kw_only=True):
    """Whether the model computes."""

    tool: Literal["python_interpreter"] | None = None
    """The rows are for a model that may call this tool on its way to the answer."""
    stateful: bool = False
    """Later calls use what earlier ones computed: for a stage whose tool is stateful."""

    def __post_init__(self) -> None:
        if self.stateful and self.tool is None:
            raise ValueError("stateful is for rows with a tool")

    def runs_programs(self, shape: Shape) -> bool:
        """A conversation with the tool holds what the tool really said."""
        return shape == "sft" and self.tool is not None


class Exercise(msgspec.Struct, gc=False):
    """A question with its worked answer."""

    question: str
    answer: str
    """Ends with `#### 42`; calculations on the way are marked `<<40+2=42>>`."""


def _ask(record: Exercise) -> str:
    if not record.question.strip():
        raise RowError("the question is empty")
    return f"{record.question} {_INSTRUCTION}"


def _read_final(record: Exercise) -> str:
    found = _FINAL.search(record.answer)
    if found is None:
        raise RowError(f"the answer ends with {record.answer[-40:]!r}, expected #### and a number")
    return found[1].replace(",", "")


def _sft(record: Exercise, options: Gsm8kOptions) -> Iterable[SftRow]:
    """Raises:
    LeftOutError: with a tool, the answer has no calculation, or one that the tool cannot show.
    RowError: the question is empty, or the answer has no final number.
    SandboxError: programs cannot be run.
    """
    _read_final(record)
    first = Turn("human", _ask(record))
    if options.tool is None:
        return [SftRow(record.question, (first, Turn("gpt", record.answer)))]
    codes, values = write_calls(record.answer, options.stateful)
    turns = [first]
    for (call, reply), value in zip(call_in_turn(codes, options.stateful), values, strict=True):
        if abs(float(reply) - value) > 1e-6 * abs(value):
            raise LeftOutError(f"a calculation gives {reply}, the answer says {value:g}")
        turns += [Turn("function_call", call), Turn("observation", reply)]
    turns.append(Turn("gpt", MARK.sub("", record.answer).strip()))
    tools = json.dumps([interpreter_tool.SCHEMA])
    return [SftRow(record.question, tuple(turns), interpreter_tool.SYSTEM, tools)]


def _rl(record: Exercise, options: Gsm8kOptions) -> Iterable[RlRow]:
    question = Message("user", _ask(record))
    return [
        RlRow(
            problem=record.question,
            data_source="openai/gsm8k",
            prompt=(Message("system", interpreter_tool.SYSTEM), question) if options.tool else (question,),
            # A bare number, as in verl's own rows.
            ground_truth=msgspec.Raw(_read_final(record).encode()),
            ability="math",
            detail={"solution": record.answer},
            tools=(interpreter_tool.NAME,) if options.tool else (),
        )
    ]


GSM8K = Converter(
    "gsm8k",
    "openai/gsm8k: worked answers for sft, final numbers for rl with verl's grader",
    Exercise,
    Gsm8kOptions,
    _sft,
    _rl,
)
