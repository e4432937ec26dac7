"""SftRow and RlRow: the two shapes everything converts to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from preprocess.errors import RowError

Shape = Literal["sft", "rl"]

LONGEST_TRUTH = 2_000_000
"""Bytes of a row's ground truth: a reward reads it once for each response."""

_HUMAN, _MODEL = ("human", "observation"), ("gpt", "function_call")


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One turn of a conversation, in sharegpt's words."""

    speaker: str
    """`from`: human or observation, then gpt or function_call, in turn."""
    value: str


class SftRow(msgspec.Struct, frozen=True, gc=False):
    """A conversation to learn from."""

    problem: str
    """What the row is about: rows of one problem stay on one side of a split, and rows with the same first turn are of
    one problem. Not written."""
    conversations: tuple[Turn, ...]
    system: str | None = None
    tools: str | None = None
    """A JSON list of tool schemas."""

    def check(self) -> None:
        """Raises:
        RowError: LLaMA-Factory would skip the row, fail on it, or learn nothing from it.
        """
        turns = self.conversations
        if not turns or len(turns) % 2:
            raise RowError(f"{len(turns)} turns, expected an even number of at least two")
        for index, turn in enumerate(turns):
            allowed = _MODEL if index % 2 else _HUMAN
            if turn.speaker not in allowed:
                raise RowError(f"turn {index + 1} is from {turn.speaker!r}, expected {' or '.join(allowed)}")
            if turn.speaker == "function_call" and not _is_call(turn.value):
                raise RowError(
                    f"turn {index + 1} is no call of a tool: expected JSON text of {{name, arguments}}, or a list of them"
                )
        if not _has_text(turns[-1].value):
            raise RowError("the last answer is empty")


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class RlRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A prompt and what the reward needs to know about it."""

    problem: str
    """What the row is about: rows of one problem stay on one side of a split, and rows with the same prompt are of one
    problem. Not written."""
    data_source: str
    prompt: tuple[Message, ...]
    ground_truth: Mapping[str, Any] | msgspec.Raw
    """Written as a JSON string, so that files of different sources have one schema; Raw is that string already."""
    id: str = ""
    """Names the row in messages; unique within its source. Empty: its file and line."""
    ability: str = "code"
    detail: Mapping[str, Any] = {}
    """Facts for people and for checks, not for the reward; written as a JSON string. `solution` is a right answer."""
    tools: tuple[str, ...] = ()
    """Names of the tools that the model may call on its way to the answer."""

    def check(self) -> None:
        """Raises:
        RowError: the prompt is empty, or does not end with what a user says.
        """
        if not self.prompt or self.prompt[-1].role != "user" or not _has_text(self.prompt[-1].content):
            raise RowError("the prompt does not end with a user's message")


Row = SftRow | RlRow


class _Call(msgspec.Struct, gc=False):
    name: str
    arguments: msgspec.Raw


_CALLS = msgspec.json.Decoder(_Call | list[_Call])
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)


def _is_call(text: str) -> bool:
    """Whether LLaMA-Factory can read it as calls of tools; a thought may stand before them."""
    try:
        return bool(_CALLS.decode(_THOUGHT.sub("", text)))
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return False


def _has_text(text: str) -> bool:
    return bool(text) and not text.isspace()


def to_json(value: Any) -> str:
    """Plain data as JSON text, the same text for the same data.

    Raises:
        RowError: it is no JSON data.
    """
    try:
        if isinstance(value, msgspec.Raw):
            return str(memoryview(value), "utf-8")
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RowError(f"not JSON data: {error}") from error
