"""execverify_sft, execverify_rl: the published rows of ExecVerify (arXiv 2603.11226)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.conversations import ShareGptTurn, make_conversation
from preprocess.rows import Message, RlRow, SftRow, Turn

_TRUTH = ("func_args", "func_name", "func_str", "question_answers", "result", "type")
"""What the white_box reward reads."""


class Conversation(msgspec.Struct, gc=False):
    """A row for SFT."""

    conversations: list[ShareGptTurn]


class Question(msgspec.Struct, gc=False):
    """A row for RL; only the columns that the reward reads."""

    type: Literal["io_mixed", "oi"]
    func_str: str
    func_name: str
    func_args: str
    result: str
    prompt_str: str
    question_answers: msgspec.Raw


def _sft(record: Conversation, options: Options) -> Iterable[SftRow]:
    return [make_conversation([Turn(each.from_, each.value) for each in record.conversations])]


def _rl(record: Question, options: Options) -> Iterable[RlRow]:
    truth = msgspec.json.encode({name: getattr(record, name) for name in _TRUTH})
    prompt = (Message("user", record.prompt_str),)
    # The function is the problem: it has many calls.
    return [RlRow(problem=record.func_str, data_source="execverify", prompt=prompt, ground_truth=msgspec.Raw(truth))]


SFT = Converter("execverify_sft", "ExecVerify's conversations on execution reasoning", Conversation, Options, sft=_sft)
RL = Converter("execverify_rl", "ExecVerify's questions on execution, for the white_box reward", Question, Options, rl=_rl)
