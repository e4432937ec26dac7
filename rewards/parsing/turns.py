"""Split the text of a conversation with a tool into the model's turns, and count its tool calls.

The text is a trajectory of verl's tool agent loop in the hermes format, decoded without special tokens: the model's turns
with `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, alternating with the tool's `<tool_response>…</tool_response>`.
Of each turn's header, only the role remains, on its own line. Every function runs in linear time.
"""

from __future__ import annotations

import json
import re
from typing import Any

_REPLY, _REPLY_END = "<tool_response>", "</tool_response>"
_CALL, _CALL_END = "<tool_call>", "</tool_call>"
_REPLIES = re.compile(f"{_REPLY}(?:.*?{_REPLY_END}|.*)", re.DOTALL)
_CALLS = re.compile(f"{_CALL}(.*?){_CALL_END}", re.DOTALL)


def take_last_turn(text: str) -> str:
    """Return what the model wrote after the tool's last reply.

    The last `</tool_response>` in the text ends the reply, so a reply that contains the tag does not end early.
    """
    _, _, rest = text.rpartition(_REPLY_END)
    return rest.partition(_REPLY)[0].strip().removeprefix("assistant\n").strip()


def take_turns(text: str) -> list[str]:
    """Return the model's non-empty turns, without the tool's replies."""
    parts = [part.strip().removeprefix("assistant\n") for part in _REPLIES.split(text)]
    return [turn for part in parts if (turn := part.removesuffix("\nuser").removesuffix("\ntool").strip())]


def count_calls(turn: str, tool: str, argument: str) -> tuple[int, int]:
    """Count the JSON calls of the tool whose argument is a non-empty string, and all others, unterminated ones included."""
    # Without the text after the last end, every start has an end, and the search takes linear time.
    terminated = turn[: turn.rfind(_CALL_END) + len(_CALL_END)]
    good = sum(_is_call(source, tool, argument) for source in _CALLS.findall(terminated))
    return good, turn.count(_CALL) - good


def _is_call(source: str, tool: str, argument: str) -> bool:
    try:
        call: Any = json.loads(source)
    except (ValueError, RecursionError):
        return False
    if not isinstance(call, dict) or call.get("name") != tool or not isinstance(call.get("arguments"), dict):
        return False
    value = call["arguments"].get(argument)
    return isinstance(value, str) and bool(value.strip())
