"""gsm8k: grade school mathematics (openai/gsm8k): worked answers to learn from, final numbers for verl's own grader."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from preprocess.converters.base import Converter, NoOptions
from preprocess.errors import RowError
from preprocess.rows import Message, RlRow, SftRow, Turn

# verl's own words (examples/data_preprocess/gsm8k.py): its grader takes the number after the marks.
_INSTRUCTION = 'Let\'s think step by step and output the final answer after "####".'
_FINAL = re.compile(r"#### (-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*$")


class Exercise(msgspec.Struct, gc=False):
    """A question with its worked answer."""

    question: str
    answer: str
    """Ends with `#### 42`."""


def _ask(record: Exercise) -> str:
    if not record.question.strip():
        raise RowError("the question is empty")
    return f"{record.question} {_INSTRUCTION}"


def _read_final(record: Exercise) -> str:
    found = _FINAL.search(record.answer)
    if found is None:
        raise RowError(f"the answer ends with {record.answer[-40:]!r}, expected #### and a number")
    return found[1].replace(",", "")


def _sft(record: Exercise, options: NoOptions) -> Iterable[SftRow]:
    _read_final(record)
    return [SftRow(record.question, (Turn("human", _ask(record)), Turn("gpt", record.answer)))]


def _rl(record: Exercise, options: NoOptions) -> Iterable[RlRow]:
    return [
        RlRow(
            problem=record.question,
            data_source="openai/gsm8k",
            prompt=(Message("user", _ask(record)),),
            # A bare number, as in verl's own rows.
            ground_truth=msgspec.Raw(_read_final(record).encode()),
            ability="math",
            detail={"solution": record.answer},
        )
    ]


GSM8K = Converter(
    "gsm8k",
    "openai/gsm8k: worked answers for sft, final numbers for rl with verl's grader",
    Exercise,
    NoOptions,
    _sft,
    _rl,
)
