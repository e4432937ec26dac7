"""What a converter of one's own gives, into rows: mappings with the rows' fields, or the rows themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from preprocess.converters.sharegpt import write_tools
from preprocess.errors import RowError
from preprocess.rows import Message, RlRow, Row, SftRow, Shape, Turn, to_json
from preprocess.sources.decoding import describe
from rewards.suggestions import suggestion


class _Said(msgspec.Struct):
    from_: str = msgspec.field(name="from")
    value: str


class _Sft(msgspec.Struct, forbid_unknown_fields=True):
    conversations: list[_Said]
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
    """The row that the converter called `name` has given.

    Raises:
        RowError: it is no row of that shape; says what was found and what was expected.
    """
    wanted, kind = (SftRow, _Sft) if shape == "sft" else (RlRow, _Rl)
    if isinstance(given, wanted):
        return given
    if not isinstance(given, Mapping):
        raise RowError(f"converter {name} gave a {type(given).__name__}, expected a mapping or an {wanted.__name__}")
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    unknown = next((key for key in given if key not in known), None)
    if unknown is not None:
        raise RowError(f"converter {name} gave a row with an unknown {unknown!r}{suggestion(unknown, known)}")
    try:
        fields = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise RowError(f"converter {name} gave a wrong row: {describe(str(error), kind, given)}") from error
    if isinstance(fields, _Sft):
        return _to_sft(fields)
    assert isinstance(fields, _Rl)
    return _to_rl(fields, name)


def _to_sft(fields: _Sft) -> SftRow:
    turns = tuple(Turn(said.from_, said.value) for said in fields.conversations)
    problem = fields.problem or (turns[0].value if turns else "")
    return SftRow(problem, turns, fields.system or None, write_tools(fields.tools))


def _to_rl(fields: _Rl, name: str) -> RlRow:
    prompt = (Message("user", fields.prompt),) if isinstance(fields.prompt, str) else fields.prompt
    # A text is what the reward is to be given; it would not expect quotes around it.
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
