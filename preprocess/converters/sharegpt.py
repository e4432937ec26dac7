"""sharegpt: conversations from any source, in the form of ShareGPT, of OpenAI messages, or as prompt and completion."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.conversations import (
    Answered,
    check_text_only,
    drop_untrained,
    encode_tools,
    make_conversation,
    rename_columns,
)
from preprocess.errors import RowError
from preprocess.rows import SftRow, Turn
from preprocess.sources.decoding import MissingColumnError, describe, describe_json
from rewards.parsing.call_turns import join_call, join_results

Speaker = Literal["system", "human", "gpt", "observation", "function_call"]

_SPEAKERS: Mapping[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "human": "human",
    "user": "human",
    "gpt": "gpt",
    "assistant": "gpt",
    "chatgpt": "gpt",
    "model": "gpt",
    "observation": "observation",
    "tool": "observation",
    "function": "observation",
    "function_call": "function_call",
}
_KEYS = (("from", "value"), ("role", "content"))
"""The keys of a turn's speaker and of its text: ShareGPT's and OpenAI's."""
_TEXTS = ("text", "input_text", "output_text")
_NULL = b"null"
_NO = msgspec.Raw(_NULL)


class SharegptOptions(Options, frozen=True, kw_only=True):
    """Columns and keys of a conversation."""

    conversations: str | None = None
    """Column of the turns; default: `conversations`, `messages`, or `prompt` and `completion`, whichever exists."""
    role: str | None = None
    """Key of a turn's speaker; default: `from` or `role`."""
    content: str | None = None
    """Key of a turn's text; default: `value` or `content`."""
    roles: dict[str, Speaker] = msgspec.field(default_factory=dict)
    """Additional speakers, and the role of each."""
    system: str | None = None
    """Column of the system message; default: `system`, if it exists."""
    tools: str | None = None
    """Column of the tools; default: `tools`, if it exists."""
    thought: tuple[str, str] = ("<think>\n", "\n</think>\n\n")
    """What the chat template writes before and after a thought: a turn's reasoning_content becomes part of its text."""


class Function(msgspec.Struct, gc=False):
    """The function of a tool call."""

    name: str
    arguments: str | dict[str, Any]


class ToolCall(msgspec.Struct, gc=False):
    """A tool call of an OpenAI message."""

    function: Function


class ContentPart(msgspec.Struct, gc=False):
    """A part of an OpenAI message."""

    type: str
    text: str | None = None


class ChatTurn(msgspec.Struct, gc=False, kw_only=True):
    """A turn."""

    role: str
    content: str | list[ContentPart] | None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    """OpenAI's older form of a call."""
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    weight: float | None = None
    train: bool | None = None


class OpenAiTurn(ChatTurn, gc=False, kw_only=True):
    """An OpenAI message, which may lack its content beside calls."""

    content: str | list[ContentPart] | None = None


class Conversation(msgspec.Struct, gc=False, kw_only=True):
    """A conversation."""

    conversations: msgspec.Raw = _NO
    messages: msgspec.Raw = _NO
    prompt: msgspec.Raw = _NO
    completion: msgspec.Raw = _NO
    system: str | None = None
    tools: str | list[dict[str, Any]] | None = None
    images: Any = None
    image: Any = None
    videos: Any = None
    video: Any = None
    audios: Any = None
    audio: Any = None


_MEDIA = ("images", "image", "videos", "video", "audios", "audio")
_Turns = list[ChatTurn]


def _find_record(options: SharegptOptions) -> type[Conversation]:
    _list_turns(options.role, options.content)  # two keys of one name are a mistake
    return rename_columns(
        Conversation, {"conversations": options.conversations, "system": options.system, "tools": options.tools}
    )


@functools.cache
def _list_turns(role: str | None, content: str | None) -> tuple[tuple[type[_Turns], msgspec.json.Decoder[_Turns]], ...]:
    """Return the types of a list of turns that may occur, with their decoders: one if the keys are given."""
    keys = [(role or first, content or second) for first, second in _KEYS]
    kinds = []
    for names in dict.fromkeys(keys):
        turn = OpenAiTurn if names == _KEYS[1] else ChatTurn
        renamed = turn if names == _KEYS[1] else rename_columns(turn, dict(zip(("role", "content"), names, strict=True)))
        kind = cast("type[_Turns]", list[renamed])  # type: ignore[valid-type]
        kinds.append((kind, msgspec.json.Decoder(kind)))
    return tuple(kinds)


def _sft(record: Conversation, options: SharegptOptions) -> Iterable[SftRow]:
    check_text_only({name: value for name in _MEDIA if (value := getattr(record, name))})
    answered = _read_all(record, options)
    system = record.system or None
    if answered and answered[0].turn.speaker == "system":
        first = answered.pop(0).turn.value or None
        if system and first and first != system:
            raise RowError("two different system messages: in a column, and as the first turn")
        system = first or system
    turns = drop_untrained(_join_results(answered))
    return [make_conversation(turns, system, encode_tools(record.tools))]


def _read_all(record: Conversation, options: SharegptOptions) -> list[Answered]:
    """Return the turns of the first column that has some."""
    if options.conversations is not None or _is_given(record.conversations):
        return _read_turns(record.conversations, options.conversations or "conversations", options)
    if _is_given(record.messages):
        return _read_turns(record.messages, "messages", options)
    if _is_given(record.prompt) and _is_given(record.completion):
        # What a completion follows is not trained on.
        before = _read_side(record.prompt, "prompt", "human", options)
        prompt = [Answered(each.turn, trained=False, calls=each.calls) for each in before]
        return [*prompt, *_read_side(record.completion, "completion", "gpt", options)]
    raise MissingColumnError("no turns", ("conversations", "messages", "completion"))


def _is_given(raw: msgspec.Raw) -> bool:
    text = memoryview(raw)
    return len(text) != len(_NULL) or bytes(text) != _NULL


def _read_side(raw: msgspec.Raw, column: str, speaker: Speaker, options: SharegptOptions) -> list[Answered]:
    """Return the turns of a prompt or of its completion, which may be a text."""
    if bytes(memoryview(raw)[:1]) == b'"':
        return [Answered(Turn(speaker, msgspec.json.decode(raw, type=str)))]
    return _read_turns(raw, column, options)


def _read_turns(raw: msgspec.Raw, column: str, options: SharegptOptions) -> list[Answered]:
    speakers = {**_SPEAKERS, **options.roles} if options.roles else _SPEAKERS
    turns = _decode(raw, column, options)
    return [_read_turn(turn, number, speakers, options.thought) for number, turn in enumerate(turns, 1)]


def _decode(raw: msgspec.Raw, column: str, options: SharegptOptions) -> _Turns:
    """Decode turns with the keys that they have.

    Raises:
        RowError: They are no such list; describes it by the keys of the first turn.
    """
    failures = []
    for kind, decoder in _list_turns(options.role, options.content):
        try:
            return decoder.decode(raw)
        except msgspec.MsgspecError as error:
            failures.append((kind, str(error)))
        except UnicodeDecodeError as error:
            raise RowError(f"{column}: not UTF-8: byte {error.object[error.start]:#04x}") from error
    try:
        fields = msgspec.json.decode(raw)
    except msgspec.MsgspecError as error:
        raise RowError(f"{column}: {describe_json(str(error), bytes(raw))}") from error
    first = fields[0] if isinstance(fields, list) and fields and isinstance(fields[0], dict) else {}
    place = 1 if len(failures) > 1 and _KEYS[0][0] not in first and _KEYS[1][0] in first else 0
    kind, message = failures[place]
    reason = describe(message, kind, fields, column)
    raise RowError(f"{column}{reason}" if reason.startswith("[") else reason)


def _read_turn(turn: ChatTurn, number: int, speakers: Mapping[str, Speaker], thought: tuple[str, str]) -> Answered:
    speaker = speakers.get(turn.role)
    if speaker is None:
        raise RowError(f"turn {number} is from {turn.role!r}, expected {', '.join(speakers)}; the option roles takes others")
    text = _read_text(turn, number)
    if found := turn.reasoning_content or turn.reasoning or turn.thinking:
        if speaker not in ("gpt", "function_call"):
            raise RowError(f"turn {number} has a thought, but is from {turn.role!r}")
        text = _add_thought(found.strip(), text, number, thought)
    trained = _read_weight(turn, number)
    calls = [*(turn.tool_calls or ()), *([ToolCall(turn.function_call)] if turn.function_call else ())]
    if calls:
        if "tool_call>" in text:
            raise RowError(f"turn {number} has tool calls, and in its text the tags of a call")
        return Answered(Turn("function_call", join_call(text, _encode_calls(calls, number))), trained, len(calls))
    if turn.content is None:
        raise RowError(f"turn {number} has no text")
    return Answered(Turn(speaker, text), trained)


def _read_text(turn: ChatTurn, number: int) -> str:
    if not isinstance(turn.content, list):
        return turn.content or ""
    for part in turn.content:
        if part.type not in _TEXTS or part.text is None:
            raise RowError(f"turn {number} has a part of type {part.type!r}; rows have only text")
    return "".join(part.text or "" for part in turn.content)


def _add_thought(found: str, text: str, number: int, thought: tuple[str, str]) -> str:
    """Return a turn's text after its thought, as chat templates write it."""
    if not any(word.strip() and word.strip() in text for word in thought):
        return f"{thought[0]}{found}{thought[1]}{text}"
    if found not in text:
        raise RowError(f"turn {number} has two thoughts, in its text and beside it")
    return text


def _read_weight(turn: ChatTurn, number: int) -> bool:
    """Return whether a turn is trained on."""
    if turn.weight is not None and turn.weight not in (0, 1):
        raise RowError(f"turn {number} has weight {turn.weight:g}, expected 0 or 1")
    return turn.weight != 0 and turn.train is not False


def _join_results(answered: Sequence[Answered]) -> list[Answered]:
    """Join the results of parallel calls, which are one turn."""
    joined: list[Answered] = []
    waiting, results = 0, list[str]()
    for each in answered:
        if each.turn.speaker != "observation":
            waiting, results = each.calls, []
        elif results and len(results) < waiting:
            results.append(each.turn.value)
            joined[-1] = Answered(Turn("observation", join_results(results)))
            continue
        else:
            results = [each.turn.value]
        joined.append(each)
    return joined


def _encode_calls(calls: Sequence[ToolCall], number: int) -> str:
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
