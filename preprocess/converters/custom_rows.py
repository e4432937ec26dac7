"""Rows from the results of a custom converter: mappings with the fields of a row, or row objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from preprocess.converters.shared.conversations import ShareGptTurn, encode_tools, make_conversation
from preprocess.errors import RowError
from preprocess.rows import Message, RlRow, Row, SftRow, Shape, Turn, to_json
from preprocess.sources.decoding import describe
from rewards.suggestions import suggestion
from rewards.wording import kind_of


class _Sft(msgspec.Struct, forbid_unknown_fields=True):
    conversations: list[ShareGptTurn]
    system: str | None = None
    tools: str | list[dict[str, Any]] | None = None
    problem: str | None = None


class _Rl(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    prompt: str | tuple[Message, ...]
    ground_truth: Any
    data_source: str | None = None
    problem: str | None = None
    id: str = ""
    ability: str = "code"
    detail: dict[str, Any] = {}
    tools: tuple[str, ...] = ()


def read_row(given: Any, shape: Shape, name: str) -> Row:
    """Return the row that the converter `name` gave.

    Raises:
        RowError: it is not a row of that shape; names what was found and what was expected.
    """
    expected, kind = (SftRow, _Sft) if shape == "sft" else (RlRow, _Rl)
    if isinstance(given, expected):
        return given
    if not isinstance(given, Mapping):
        raise RowError(f"converter {name} gave {kind_of(given)}, expected a mapping or an {expected.__name__}")
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    unknown = next((key for key in given if key not in known), None)
    if unknown is not None:
        raise RowError(f"converter {name} gave a row with an unknown {unknown!r}{suggestion(unknown, known)}")
    try:
        fields = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise RowError(f"converter {name} gave a wrong row: {describe(str(error), kind, given)}") from error
    if isinstance(fields, _Sft):
        turns = [Turn(each.from_, each.value) for each in fields.conversations]
        return make_conversation(turns, fields.system, encode_tools(fields.tools), fields.problem)
    assert isinstance(fields, _Rl)
    prompt = (Message("user", fields.prompt),) if isinstance(fields.prompt, str) else fields.prompt
    # The reward gets text unchanged; other data as JSON.
    truth = fields.ground_truth if isinstance(fields.ground_truth, str) else to_json(fields.ground_truth)
    try:
        raw = msgspec.Raw(truth.encode())
    except UnicodeEncodeError as error:
        raise RowError(f"not UTF-8 text: {error}") from error
    return RlRow(
        problem=fields.problem or (prompt[-1].content if prompt else ""),
        data_source=fields.data_source or name,
        prompt=prompt,
        ground_truth=raw,
        id=fields.id,
        ability=fields.ability,
        detail=fields.detail,
        tools=fields.tools,
    )
