"""SftRow and RlRow: the two shapes everything converts to, each with its one Arrow schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from preprocess.errors import RowError

if TYPE_CHECKING:
    import pyarrow as pa

Shape = Literal["sft", "rl"]

_HUMAN, _MODEL = ("human", "observation"), ("gpt", "function_call")


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation, in sharegpt's words."""

    speaker: str
    """`from`: human or observation, then gpt or function_call, in turn."""
    value: str


@dataclass(frozen=True)
class SftRow:
    """A conversation to learn from."""

    problem: str
    """What the row is about: rows of one problem stay on one side of a split. Not written."""
    conversations: tuple[Turn, ...]
    system: str | None = None
    tools: str | None = None
    """A JSON list of tool schemas."""

    def check(self) -> None:
        """Raises:
        RowError: LLaMA-Factory would skip the row, or learn nothing from it.
        """
        if not self.conversations or len(self.conversations) % 2:
            raise RowError(f"{len(self.conversations)} turns, expected an even number of at least two")
        for index, turn in enumerate(self.conversations):
            allowed = _MODEL if index % 2 else _HUMAN
            if turn.speaker not in allowed:
                raise RowError(f"turn {index + 1} is from {turn.speaker!r}, expected {' or '.join(allowed)}")
        if not self.conversations[-1].value.strip():
            raise RowError("the last answer is empty")

    def to_record(self, index: int, split: str) -> dict[str, Any]:
        """The row as its Arrow schema has it."""
        turns = [{"from": turn.speaker, "value": turn.value} for turn in self.conversations]
        return {"conversations": turns, "system": self.system, "tools": self.tools}


@dataclass(frozen=True)
class Message:
    """One message of a prompt."""

    role: str
    content: str


@dataclass(frozen=True)
class RlRow:
    """A prompt and what the reward needs to know about it."""

    problem: str
    """What the row is about: rows of one problem stay on one side of a split. Not written."""
    id: str
    """Names the row in messages; unique within its source."""
    data_source: str
    prompt: tuple[Message, ...]
    ground_truth: Mapping[str, Any]
    """Written as a JSON string, so that files of different sources have one schema."""
    ability: str = "code"
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Facts for people, not for the reward; written as a JSON string."""

    def check(self) -> None:
        """Raises:
        RowError: the prompt is empty, or does not end with what a user says.
        """
        if not self.prompt or self.prompt[-1].role != "user" or not self.prompt[-1].content.strip():
            raise RowError("the prompt does not end with a user's message")

    def to_record(self, index: int, split: str) -> dict[str, Any]:
        """The row as its Arrow schema has it."""
        return {
            "data_source": self.data_source,
            "prompt": [{"role": message.role, "content": message.content} for message in self.prompt],
            "ability": self.ability,
            "reward_model": {"style": "rule", "ground_truth": to_json(self.ground_truth)},
            "extra_info": {"index": index, "split": split, "id": self.id, "detail": to_json(self.detail)},
        }


Row = SftRow | RlRow


def to_json(value: Any) -> str:
    """Plain data as JSON text, the same text for the same data."""
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RowError(f"not JSON data: {error}") from error


def schema(shape: Shape) -> pa.Schema:
    """The one Arrow schema of all files of a shape."""
    import pyarrow as pa

    text = pa.string()
    if shape == "sft":
        turn = pa.struct([("from", text), ("value", text)])
        return pa.schema([("conversations", pa.list_(turn)), ("system", text), ("tools", text)])
    return pa.schema(
        [
            ("data_source", text),
            ("prompt", pa.list_(pa.struct([("role", text), ("content", text)]))),
            ("ability", text),
            ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
            ("extra_info", pa.struct([("index", pa.int64()), ("split", text), ("id", text), ("detail", text)])),
        ]
    )


def to_table(rows: Sequence[Row], shape: Shape, split: str) -> pa.Table:
    """The rows as an Arrow table, numbered in their order."""
    import pyarrow as pa

    records = [row.to_record(index, split) for index, row in enumerate(rows)]
    return pa.Table.from_pylist(records, schema=schema(shape))
