"""eurus: the code rows of PRIME-RL/Eurus-2-RL-Data; rows of other abilities are left out."""

from __future__ import annotations

import dataclasses
from typing import Literal

import msgspec

from preprocess.converters.shared import wording
from preprocess.converters.shared.code_task import CodeTask, make_converter, name_problem
from preprocess.converters.shared.signatures import show_name
from preprocess.converters.shared.tests import PairOptions, read_pairs
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message

_TASK = "Write Python code to solve the problem. Present the code in"
"""End of the published prompts."""


class EurusOptions(PairOptions, frozen=True, kw_only=True):
    """Options of Eurus."""

    form: Literal["published", "answer"] = "published"
    """published: the messages unchanged; answer: the problem in the wording of this project's other rows."""


class EurusReward(msgspec.Struct):
    """The tests."""

    ground_truth: str


class EurusPlace(msgspec.Struct):
    """Position of the row."""

    index: int
    split: str = "train"


class Eurus(msgspec.Struct):
    """A row."""

    data_source: str
    prompt: tuple[Message, ...]
    ability: str
    reward_model: EurusReward
    extra_info: EurusPlace


def _read(record: Eurus, options: EurusOptions) -> CodeTask:
    if record.ability != "code":
        raise LeftOutError(f"ability is {record.ability!r}, not code")
    if not record.prompt or record.prompt[-1].role != "user":
        raise RowError("the prompt does not end with a user's message")
    question = record.prompt[-1].content
    text, column = record.reward_model.ground_truth, "reward_model.ground_truth"
    truth = read_pairs(text, column, options.max_tests, integer_keys=options.integer_keys)
    messages = record.prompt
    if options.form == "answer":
        signature = show_name(truth["fn_name"]) if "fn_name" in truth else None
        messages = (Message("user", wording.ask_code(question.partition(_TASK)[0], signature)),)
    return CodeTask(
        source=f"eurus/{record.data_source}",
        statement=question,
        make_truth=lambda: truth,
        id=f"{record.data_source}/{record.extra_info.split}/{record.extra_info.index}",
        problem=name_problem("eurus", question),
        messages=messages,
    )


EURUS = dataclasses.replace(
    make_converter("eurus", "PRIME-RL/Eurus-2-RL-Data: its code rows with their tests", Eurus, EurusOptions, _read), sft=None
)
