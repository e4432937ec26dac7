"""eurus: the code rows of PRIME-RL/Eurus-2-RL-Data; rows of other abilities are left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from preprocess.converters.base import Converter
from preprocess.converters.shared import wording
from preprocess.converters.shared.code_task import CodeOptions, add_system, check_truth, name_problem, name_tools
from preprocess.converters.shared.signatures import show_name
from preprocess.converters.shared.tests import read_pairs
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow

_TASK = "Write Python code to solve the problem. Present the code in"
"""What the published prompts end with."""


class EurusOptions(CodeOptions, frozen=True, kw_only=True):
    """Which rows are taken."""

    form: Literal["published", "answer"] = "published"
    """published: the messages as they are; answer: the problem in the words of this project's other rows."""


class EurusMessage(msgspec.Struct):
    """A message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class EurusReward(msgspec.Struct):
    """What a response is judged by."""

    ground_truth: str


class EurusPlace(msgspec.Struct):
    """Where the row stands."""

    index: int
    split: str = "train"


class Eurus(msgspec.Struct):
    """A row."""

    data_source: str
    prompt: list[EurusMessage]
    ability: str
    reward_model: EurusReward
    extra_info: EurusPlace


def _rl(record: Eurus, options: EurusOptions) -> Iterable[RlRow]:
    if record.ability != "code":
        raise LeftOutError(f"ability is {record.ability!r}, not code")
    if not record.prompt or record.prompt[-1].role != "user":
        raise RowError("the prompt does not end with a user's message")
    question = record.prompt[-1].content
    if options.max_chars and len(question) > options.max_chars:
        raise LeftOutError(f"the statement is longer than max_chars {options.max_chars}")
    truth = read_pairs(record.reward_model.ground_truth, "reward_model.ground_truth", options.max_tests)
    place = record.extra_info
    return [
        RlRow(
            problem=name_problem("eurus", question),
            id=f"{record.data_source}/{place.split}/{place.index}",
            data_source=f"eurus/{record.data_source}",
            prompt=add_system(_ask(record, truth, options), options),
            ground_truth=check_truth(truth, options),
            tools=name_tools(options),
        )
    ]


def _ask(record: Eurus, truth: dict[str, Any], options: EurusOptions) -> tuple[Message, ...]:
    if options.form == "published":
        return tuple(Message(each.role, each.content) for each in record.prompt)
    statement = record.prompt[-1].content.partition(_TASK)[0]
    name = truth.get("fn_name")
    return (Message("user", wording.ask_code(statement, show_name(name)) if name else wording.ask_program(statement)),)


EURUS = Converter(
    "eurus",
    "PRIME-RL/Eurus-2-RL-Data: its code rows with their tests",
    Eurus,
    EurusOptions,
    rl=_rl,
)
