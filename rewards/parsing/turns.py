"""A conversation with a tool, as text: what the model wrote in it, and which calls it made.

The text is what verl decodes of a trajectory of its tool agent loop in the hermes format: the model's turns with
`<tool_call>{"name": …, "arguments": {…}}</tool_call>`, and between them the tool's, `<tool_response>…</tool_response>`.
Special tokens are left out, so that of a turn's head only its role's name stays, on a line of its own.
Everything here takes time in proportion to the text's length.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_REPLY, _REPLY_END = "<tool_response>", "</tool_response>"
_CALL, _CALL_END = "<tool_call>", "</tool_call>"


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls in a turn."""

    good: int
    """Those of the tool, as JSON, with its argument as a text that is not empty."""
    malformed: int
    """All others, those without an end included."""


def take_last_turn(text: str) -> str:
    """What the model wrote after the tool's last reply: the only place where an answer counts.

    A reply that holds `</tool_response>` itself does not end early: the last end in the text is the real one.
    """
    _, _, rest = text.rpartition(_REPLY_END)
    return rest.partition(_REPLY)[0].strip().removeprefix("assistant\n").strip()


def take_turns(text: str) -> list[str]:
    """The model's turns that are not empty, without the tool's replies."""
    turns, place = [], 0
    while place >= 0:
        start = text.find(_REPLY, place)
        turn = text[place : start if start >= 0 else len(text)].strip().removeprefix("assistant\n")
        turns.append(turn.removesuffix("\nuser").removesuffix("\ntool").strip())
        end = text.find(_REPLY_END, start) if start >= 0 else -1
        place = end + len(_REPLY_END) if end >= 0 else -1
    return [turn for turn in turns if turn]


def count_calls(turn: str, tool: str, argument: str) -> Calls:
    """How many calls a turn makes, well formed and not."""
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
