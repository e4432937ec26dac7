"""Conversations for SFT, from columns that options name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from preprocess.errors import LeftOutError, RowError
from preprocess.rows import SftRow, Turn

StructT = TypeVar("StructT", bound=msgspec.Struct)


class ShareGptTurn(msgspec.Struct, gc=False):
    """A turn of a conversation."""

    from_: str = msgspec.field(name="from")
    value: str


class Answered(NamedTuple):
    """A turn, and what it is for."""

    turn: Turn
    trained: bool = True
    """Whether the source trains on it, if it is the model's."""
    calls: int = 0
    """How many tools it calls."""


def drop_untrained(turns: Sequence[Answered]) -> list[Turn]:
    """Return the turns up to the last one to train on; the trainers train on every answer of a row.

    Raises:
        LeftOutError: No answer is trained.
        RowError: One before it is not to train on.
    """
    answers = [place for place, each in enumerate(turns) if each.turn.speaker in ("gpt", "function_call")]
    trained = [place for place in answers if turns[place].trained]
    if not answers or len(trained) == len(answers):
        return [each.turn for each in turns]
    if not trained:
        raise LeftOutError("all of its answers have weight 0")
    if skipped := [place for place in answers if place < trained[-1] and not turns[place].trained]:
        raise RowError(
            f"turn {skipped[0] + 1} is not to train on, but turn {trained[-1] + 1} is; "
            "the trainers train on every answer of a row"
        )
    return [each.turn for each in turns[: trained[-1] + 1]]


def check_text_only(media: Mapping[str, Any]) -> None:
    """Check that a record has no images, videos or sounds.

    Args:
        media: Column -> its value.

    Raises:
        RowError: It has some; names the column.
    """
    if found := next((column for column, value in media.items() if value), None):
        raise RowError(f"it has {found}; rows have only text")


def make_conversation(
    turns: Sequence[Turn], system: str | None = None, tools: str | None = None, problem: str | None = None
) -> SftRow:
    """Return the row of a conversation; `problem` defaults to the first turn."""
    return SftRow(problem or (turns[0].value if turns else ""), tuple(turns), system or None, tools)


def encode_tools(tools: str | list[dict[str, Any]] | None) -> str | None:
    """Return tool schemas as LLaMA-Factory reads them: JSON text.

    Raises:
        RowError: the text is not a JSON list of objects.
    """
    if not tools:
        return None
    if not isinstance(tools, str):
        return msgspec.json.encode(tools).decode()
    try:
        msgspec.json.decode(tools, type=list[dict[str, Any]])
    except msgspec.MsgspecError as error:
        raise RowError(f"tools is {tools[:80]!r}, expected a list of objects or its JSON text") from error
    return tools


def rename_columns(
    kind: type[StructT], columns: Mapping[str, str | None], types: Mapping[str, Any] | None = None
) -> type[StructT]:
    """Return the record type with other column names.

    Args:
        kind: The record type.
        columns: Field -> column. A named column is required, even if the field has a default; another field with the same
            column and a default is not read.
        types: Field -> its type, if that changes too.

    Raises:
        ValueError: two fields have the same column.
    """
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(kind):
        column = columns.get(field.name)
        taken = not column and not field.required and field.encode_name in columns.values()
        name = f"({field.encode_name})" if taken else field.encode_name
        settings = msgspec.field(name=column) if column else msgspec.field(name=name, default=field.default)
        fields.append((field.name, (types or {}).get(field.name, field.type), settings))
    names = [each[2].name for each in fields]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise ValueError(f"column {duplicate!r} is named twice")
    renamed = msgspec.defstruct(kind.__name__, fields, bases=(kind,), module=kind.__module__, kw_only=True, gc=False)
    return cast("type[StructT]", renamed)
