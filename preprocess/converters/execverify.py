"""execverify_sft, execverify_rl: the published rows of ExecVerify (arXiv 2603.11226)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from preprocess.converters.base import Converter, NoOptions
from preprocess.rows import Message, RlRow, SftRow, Turn


class Said(msgspec.Struct, gc=False):
    """A turn of a conversation."""

    from_: str = msgspec.field(name="from")
    value: str


class Conversation(msgspec.Struct, gc=False):
    """A row for supervised fine-tuning."""

    conversations: list[Said]


class Question(msgspec.Struct, gc=False):
    """A row for reinforcement learning; of its columns those that the reward reads."""

    type: Literal["io_mixed", "oi"]
    func_str: str
    func_name: str
    func_args: str
    result: str
    prompt_str: str
    question_answers: msgspec.Raw


class Truth(msgspec.Struct, gc=False):
    """What the white_box reward reads."""

    func_args: str
    func_name: str
    func_str: str
    question_answers: msgspec.Raw
    result: str
    type: str


def _sft(record: Conversation, options: NoOptions) -> Iterable[SftRow]:
    turns = tuple(Turn(each.from_, each.value) for each in record.conversations)
    return [SftRow(turns[0].value if turns else "", turns)]


def _rl(record: Question, options: NoOptions) -> Iterable[RlRow]:
    truth = Truth(record.func_args, record.func_name, record.func_str, record.question_answers, record.result, record.type)
    return [
        RlRow(
            # One function has many calls: the function is the problem.
            problem=record.func_str,
            data_source="execverify",
            prompt=(Message("user", record.prompt_str),),
            ground_truth=msgspec.Raw(msgspec.json.encode(truth)),
        )
    ]


SFT = Converter("execverify_sft", "ExecVerify's conversations on execution reasoning", Conversation, NoOptions, sft=_sft)
RL = Converter(
    "execverify_rl",
    "ExecVerify's questions on execution, for the white_box reward",
    Question,
    NoOptions,
    rl=_rl,
)
