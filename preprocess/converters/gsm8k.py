"""gsm8k: grade school mathematics (openai/gsm8k): worked answers for SFT, final numbers for verl's grader."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from preprocess.converters.base import Converter
from preprocess.converters.shared.calculations import MARK, write_calls
from preprocess.converters.shared.tool_calls import ToolOptions, call_in_turn, make_row
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow, SftRow

# The wording of verl (examples/data_preprocess/gsm8k.py): its grader takes the number after the marks.
_INSTRUCTION = 'Let\'s think step by step and output the final answer after "####".'
_FINAL = re.compile(r"#### (-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*$")


class Gsm8kOptions(ToolOptions, frozen=True, kw_only=True):
    """Options of the tool."""

    stateful: bool = False
    """Later calls use the results of earlier ones: for a stage whose tool is stateful."""

    def __post_init__(self) -> None:
        if self.stateful and self.tool is None:
            raise ValueError("stateful is for rows with a tool")


class Exercise(msgspec.Struct, gc=False):
    """A question with its worked answer."""

    question: str
    answer: str
    """Ends with `#### 42`; intermediate calculations are marked `<<40+2=42>>`."""


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
    """Return the question with its worked answer; with the tool, each calculation is a call.

    Raises:
        LeftOutError: with the tool, the answer has no calculation, or one that the tool cannot show.
        RowError: the question is empty, or the answer has no final number.
        SandboxError: programs cannot be run.
    """
    _read_final(record)
    question = _ask(record)
    if options.tool is None:
        return [make_row(record.question, question, record.answer)]
    codes, values = write_calls(record.answer, options.stateful)
    calls = call_in_turn(codes, options.stateful)
    for (_, reply), value in zip(calls, values, strict=True):
        if abs(float(reply) - value) > 1e-6 * abs(value):
            raise LeftOutError(f"a calculation gives {reply}, the answer says {value:g}")
    return [make_row(record.question, question, MARK.sub("", record.answer).strip(), calls)]


def _rl(record: Exercise, options: Gsm8kOptions) -> Iterable[RlRow]:
    return [
        RlRow(
            problem=record.question,
            data_source="openai/gsm8k",
            prompt=options.add_system((Message("user", _ask(record)),)),
            # A bare number, as in verl's own rows.
            ground_truth=msgspec.Raw(_read_final(record).encode()),
            ability="math",
            detail={"solution": record.answer},
            tools=options.tools,
        )
    ]


GSM8K = Converter(
    "gsm8k", "openai/gsm8k: worked answers for sft, final numbers for rl with verl's grader", Exercise, Gsm8kOptions, _sft, _rl
)
