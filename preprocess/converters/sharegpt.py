"""sharegpt: conversations of any source, in ShareGPT's form or as OpenAI's messages; the options name their columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.mapping import rename
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
    """Where the parts of a conversation lie."""

    conversations: str = "conversations"
    """Column of the turns."""
    role: str = "from"
    """Key of a turn's speaker."""
    content: str = "value"
    """Key of a turn's text."""
    roles: dict[str, Speaker] = msgspec.field(default_factory=dict)
    """Further speakers, and what each is."""
    system: str | None = None
    """Column of the system message; `system`, where there is one, if not said."""
    tools: str | None = None
    """Column of the tools; `tools`, where there is one, if not said."""


class Function(msgspec.Struct, gc=False):
    """What is called."""

    name: str
    arguments: str | dict[str, Any]


class ToolCall(msgspec.Struct, gc=False):
    """A call of a tool, as OpenAI's messages have it."""

    function: Function


class Said(msgspec.Struct, gc=False):
    """A turn."""

    role: str
    content: str | None
    tool_calls: list[ToolCall] | None = None


class Conversation(msgspec.Struct, gc=False):
    """A conversation."""

    conversations: list[Said]
    system: str | None = None
    tools: str | list[dict[str, Any]] | None = None


def _find_record(options: SharegptOptions) -> type[Conversation]:
    said = rename(Said, {"role": options.role, "content": options.content})
    columns = {"conversations": options.conversations, "system": options.system, "tools": options.tools}
    return rename(Conversation, columns, {"conversations": list[said]})  # type: ignore[valid-type]


def _sft(record: Conversation, options: SharegptOptions) -> Iterable[SftRow]:
    speakers = {**_SPEAKERS, **options.roles} if options.roles else _SPEAKERS
    turns = [_read_turn(said, number, speakers) for number, said in enumerate(record.conversations, 1)]
    system = record.system or None
    if turns and turns[0].speaker == "system":
        first = turns.pop(0).value or None
        if system and first and first != system:
            raise RowError("there are two system messages: in a column, and as the first turn")
        system = first or system
    return [SftRow(turns[0].value if turns else "", tuple(turns), system, write_tools(record.tools))]


def _read_turn(said: Said, number: int, speakers: Mapping[str, Speaker]) -> Turn:
    speaker = speakers.get(said.role)
    if speaker is None:
        raise RowError(f"turn {number} is from {said.role!r}, expected {', '.join(speakers)}; the option roles takes others")
    if said.tool_calls:
        if said.content:
            raise RowError(f"turn {number} is a text and calls of tools at once; LLaMA-Factory takes one of them")
        return Turn("function_call", _write_calls(said.tool_calls, number))
    if said.content is None:
        raise RowError(f"turn {number} has no text")
    return Turn(speaker, said.content)


def _write_calls(calls: list[ToolCall], number: int) -> str:
    """As LLaMA-Factory reads them: a JSON list, the arguments as objects."""
    written = []
    for call in calls:
        arguments = call.function.arguments
        try:
            arguments = msgspec.json.decode(arguments) if isinstance(arguments, str) else arguments
        except msgspec.MsgspecError as error:
            raise RowError(f"turn {number}: the arguments of {call.function.name} are not JSON: {error}") from error
        written.append({"name": call.function.name, "arguments": arguments})
    return msgspec.json.encode(written).decode()


def write_tools(tools: str | list[dict[str, Any]] | None) -> str | None:
    """As LLaMA-Factory reads them: a JSON text."""
    if not tools:
        return None
    if not isinstance(tools, str):
        return msgspec.json.encode(tools).decode()
    try:
        msgspec.json.decode(tools, type=list[dict[str, Any]])
    except msgspec.MsgspecError as error:
        raise RowError(f"tools is {tools[:80]!r}, expected a list of objects or its JSON text") from error
    return tools


SHAREGPT = Converter(
    "sharegpt",
    "conversations of any source, in ShareGPT's form or as OpenAI's messages",
    _find_record,
    SharegptOptions,
    sft=_sft,
)
