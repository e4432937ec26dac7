"""Split the text of a conversation with a tool into the model's turns, and count its tool calls.

The text is a trajectory of verl's tool agent loop in the hermes format, decoded without special tokens: the model's turns
with `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, alternating with the tool's `<tool_response>…</tool_response>`.
Of each turn's header, only the role remains, on its own line. Every function runs in linear time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_REPLY, _REPLY_END = "<tool_response>", "</tool_response>"
_CALL, _CALL_END = "<tool_call>", "</tool_call>"


@dataclass(frozen=True, slots=True)
class Calls:
    """Number of calls in a turn."""

    good: int
    """JSON calls of the tool whose argument is a non-empty string."""
    malformed: int
    """All others, unterminated ones included."""


def take_last_turn(text: str) -> str:
    """Return what the model wrote after the tool's last reply.

    The last `</tool_response>` in the text ends the reply, so a reply that contains the tag does not end early.
    """
    _, _, rest = text.rpartition(_REPLY_END)
    return rest.partition(_REPLY)[0].strip().removeprefix("assistant\n").strip()


def take_turns(text: str) -> list[str]:
    """Return the model's non-empty turns, without the tool's replies."""
    turns, place = [], 0
    while place >= 0:
        start = text.find(_REPLY, place)
        turn = text[place : start if start >= 0 else len(text)].strip().removeprefix("assistant\n")
        turns.append(turn.removesuffix("\nuser").removesuffix("\ntool").strip())
        end = text.find(_REPLY_END, start) if start >= 0 else -1
        place = end + len(_REPLY_END) if end >= 0 else -1
    return [turn for turn in turns if turn]


def count_calls(turn: str, tool: str, argument: str) -> Calls:
    """Count the well-formed and the malformed calls in a turn."""
    opened, good, place = turn.count(_CALL), 0, 0
    for _ in range(opened):
        start = turn.find(_CALL, place)
        end = turn.find(_CALL_END, start) if start >= 0 else -1
        if end < 0:
            break
        good += _is_call(turn[start + len(_CALL) : end], tool, argument)
        place = end + len(_CALL_END)
    return Calls(good, opened - good)


def _is_call(source: str, tool: str, argument: str) -> bool:
    try:
        call: Any = json.loads(source)
    except (ValueError, RecursionError):
        return False
    if not isinstance(call, dict) or call.get("name") != tool or not isinstance(call.get("arguments"), dict):
        return False
    value = call["arguments"].get(argument)
    return isinstance(value, str) and bool(value.strip())
