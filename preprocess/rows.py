"""SftRow and RlRow: the two shapes of rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from preprocess.errors import RowError
from rewards.parsing.call_turns import split_call
from rewards.wording import count

Shape = Literal["sft", "rl"]

LONGEST_TRUTH = 2_000_000
"""Bytes of a ground truth: a reward parses it once per response."""

_HUMAN, _MODEL = ("human", "observation"), ("gpt", "function_call")


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One turn of a conversation, in the sharegpt format."""

    speaker: str
    """The column `from`: alternately human or observation, and gpt or function_call."""
    value: str


class SftRow(msgspec.Struct, frozen=True, gc=False):
    """A conversation for supervised fine-tuning."""

    problem: str
    """The problem's name: all rows of a problem are in the same split. Rows with the same first turn must have the same
    problem. Not written."""
    conversations: tuple[Turn, ...]
    system: str | None = None
    tools: str | None = None
    """A JSON list of tool schemas."""

    def check(self) -> None:
        """Check that LLaMA-Factory does not skip the row, fail on it, or learn nothing from it.

        Raises:
            RowError: It would.
        """
        turns = self.conversations
        if not turns or len(turns) % 2:
            raise RowError(f"{count(len(turns), 'turn')}, expected an even number of at least two")
        for index, turn in enumerate(turns):
            allowed = _MODEL if index % 2 else _HUMAN
            if turn.speaker not in allowed:
                raise RowError(f"turn {index + 1} is from {turn.speaker!r}, expected {' or '.join(allowed)}")
            if turn.speaker == "function_call" and not _is_call(turn.value):
                raise RowError(
                    f"turn {index + 1} is not a tool call: expected JSON text of {{name, arguments}}, or a list of them"
                )
        if not _has_text(turns[-1].value):
            raise RowError("the last answer is empty")


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class RlRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A prompt and the facts that its reward needs."""

    problem: str
    """The problem's name: all rows of a problem are in the same split. Rows with the same prompt must have the same problem.
    Not written."""
    data_source: str
    prompt: tuple[Message, ...]
    ground_truth: Mapping[str, Any] | msgspec.Raw
    """Written as a JSON string, so that all sources have one schema; Raw is that string already."""
    id: str = ""
    """The row's name in messages; unique within its source. Empty: its file and line."""
    ability: str = "code"
    detail: Mapping[str, Any] = {}
    """Facts for users and checks, not for the reward; written as a JSON string. `solution` is a correct answer."""
    tools: tuple[str, ...] = ()
    """Names of the tools that the model may call before it answers."""

    def check(self) -> None:
        """Check that the prompt ends with a user's message, and that the ground truth consists of characters.

        Raises:
            RowError: It does not, or the message is empty.
        """
        if not self.prompt or self.prompt[-1].role != "user" or not _has_text(self.prompt[-1].content):
            raise RowError("the prompt does not end with a user's message")
        if isinstance(self.ground_truth, msgspec.Raw) and b"\\ud" in bytes(self.ground_truth).lower():
            _check_characters(bytes(self.ground_truth))


Row = SftRow | RlRow


class _Call(msgspec.Struct, gc=False):
    name: str
    arguments: msgspec.Raw


_CALLS = msgspec.json.Decoder(_Call | list[_Call])


def _is_call(text: str) -> bool:
    """Return whether LLaMA-Factory can parse it as tool calls; a text may come before them (`rewards.parsing.call_turns`)."""
    try:
        return bool(_CALLS.decode(split_call(text)[1]))
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return False


def _check_characters(truth: bytes) -> None:
    """Check JSON text that may be read as half of a surrogate pair, which no program can get as its input."""
    try:
        json.dumps(json.loads(truth), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RowError("the ground truth has half of a surrogate pair, which is not a character") from None
    except (ValueError, RecursionError):
        return  # other text than JSON: its reward reads it


def _has_text(text: str) -> bool:
    return bool(text) and not text.isspace()


def to_json(value: Any) -> str:
    """Return plain data as JSON text, the same text for the same data.

    Raises:
        RowError: It is not JSON data.
    """
    try:
        if isinstance(value, msgspec.Raw):
            return str(memoryview(value), "utf-8")
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RowError(f"not JSON data: {error}") from error
