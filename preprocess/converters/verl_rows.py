"""verl_rows: rows that have verl's columns already, such as the prepared rows of a stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.conversations import check_text_only
from preprocess.errors import RowError
from preprocess.rows import Message, RlRow


class RewardModel(msgspec.Struct, gc=False):
    """The references of a row."""

    ground_truth: Any


class ExtraInfo(msgspec.Struct, gc=False):
    """The columns that this project writes; other rows may lack them."""

    id: str | None = None
    detail: str | None = None
    """JSON text of an object."""
    tool_selection: list[str] | None = None


class VerlRow(msgspec.Struct, gc=False):
    """A row of verl."""

    data_source: str
    prompt: list[Message]
    reward_model: RewardModel
    ability: str | None = None
    extra_info: ExtraInfo | None = None
    images: Any = None
    videos: Any = None
    audios: Any = None


def _rl(record: VerlRow, options: Options) -> Iterable[RlRow]:
    check_text_only({"images": record.images, "videos": record.videos, "audios": record.audios})
    truth, extra = record.reward_model.ground_truth, record.extra_info or ExtraInfo()
    if truth is None or truth == "":
        raise RowError("reward_model has no ground_truth")
    text = truth if isinstance(truth, str) else msgspec.json.encode(truth).decode()
    try:
        detail = msgspec.json.decode(extra.detail or "{}", type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise RowError(f"extra_info.detail: {error}") from None
    return [
        RlRow(
            problem="\n".join(message.content for message in record.prompt),
            id=extra.id or "",
            data_source=record.data_source,
            prompt=tuple(record.prompt),
            ground_truth=msgspec.Raw(text.encode("utf-8", "surrogatepass")),
            ability=record.ability or "code",
            detail=detail,
            tools=tuple(extra.tool_selection or ()),
        )
    ]


VERL_ROWS = Converter("verl_rows", "rows with verl's columns, such as the prepared rows of a stage", VerlRow, Options, rl=_rl)
