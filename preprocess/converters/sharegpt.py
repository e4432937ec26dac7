"""sharegpt: conversations from any source, in the form of ShareGPT or as OpenAI messages; options name the columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.conversations import encode_tools, make_conversation, rename_columns
from preprocess.errors import RowError
from preprocess.rows import SftRow, Turn

Speaker = Literal["system", "human", "gpt", "observation", "function_call"]

_SPEAKERS: Mapping[str, Speaker] = {
    "system": "system",
    "human": "human",
    "user": "human",
    "gpt": "gpt",
    "assistant": "gpt",
    "observation": "observation",
    "tool": "observation",
    "function_call": "function_call",
}


class SharegptOptions(Options, frozen=True, kw_only=True):
    """Columns and keys of a conversation."""

    conversations: str = "conversations"
    """Column of the turns."""
    role: str = "from"
    """Key of a turn's speaker."""
    content: str = "value"
    """Key of a turn's text."""
    roles: dict[str, Speaker] = msgspec.field(default_factory=dict)
    """Additional speakers, and the role of each."""
    system: str | None = None
    """Column of the system message; default: `system`, if it exists."""
    tools: str | None = None
    """Column of the tools; default: `tools`, if it exists."""


class Function(msgspec.Struct, gc=False):
    """The function of a tool call."""

    name: str
    arguments: str | dict[str, Any]


class ToolCall(msgspec.Struct, gc=False):
    """A tool call of an OpenAI message."""

    function: Function


class ChatTurn(msgspec.Struct, gc=False):
    """A turn."""

    role: str
    content: str | None
    tool_calls: list[ToolCall] | None = None


class Conversation(msgspec.Struct, gc=False):
    """A conversation."""

    conversations: list[ChatTurn]
    system: str | None = None
    tools: str | list[dict[str, Any]] | None = None


def _find_record(options: SharegptOptions) -> type[Conversation]:
    turn = rename_columns(ChatTurn, {"role": options.role, "content": options.content})
    columns = {"conversations": options.conversations, "system": options.system, "tools": options.tools}
    return rename_columns(Conversation, columns, {"conversations": list[turn]})  # type: ignore[valid-type]


def _sft(record: Conversation, options: SharegptOptions) -> Iterable[SftRow]:
    speakers = {**_SPEAKERS, **options.roles} if options.roles else _SPEAKERS
    turns = [_read_turn(turn, number, speakers) for number, turn in enumerate(record.conversations, 1)]
    system = record.system or None
    if turns and turns[0].speaker == "system":
        first = turns.pop(0).value or None
        if system and first and first != system:
            raise RowError("two different system messages: in a column, and as the first turn")
        system = first or system
    return [make_conversation(turns, system, encode_tools(record.tools))]


def _read_turn(turn: ChatTurn, number: int, speakers: Mapping[str, Speaker]) -> Turn:
    speaker = speakers.get(turn.role)
    if speaker is None:
        raise RowError(f"turn {number} is from {turn.role!r}, expected {', '.join(speakers)}; the option roles takes others")
    if turn.tool_calls:
        if turn.content:
            raise RowError(f"turn {number} has both text and tool calls; LLaMA-Factory accepts one of them")
        return Turn("function_call", _encode_calls(turn.tool_calls, number))
    if turn.content is None:
        raise RowError(f"turn {number} has no text")
    return Turn(speaker, turn.content)


def _encode_calls(calls: list[ToolCall], number: int) -> str:
    """Return the calls as LLaMA-Factory reads them: a JSON list, with the arguments as objects."""
    encoded = []
    for call in calls:
        arguments = call.function.arguments
        try:
            arguments = msgspec.json.decode(arguments) if isinstance(arguments, str) else arguments
        except msgspec.MsgspecError as error:
            raise RowError(f"turn {number}: the arguments of {call.function.name} are not JSON: {error}") from error
        encoded.append({"name": call.function.name, "arguments": arguments})
    return msgspec.json.encode(encoded).decode()


SHAREGPT = Converter(
    "sharegpt",
    "conversations of any source, in ShareGPT's form or as OpenAI's messages",
    _find_record,
    SharegptOptions,
    sft=_sft,
)
