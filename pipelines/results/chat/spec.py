"""chat.json, which the server reads, and the events of a chat: JSON lines over a socket.

Read in verl's environment, too: the standard library and msgspec only.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pipelines.evaluation.spec import Generation

Finish = Literal["stop", "length", "turns", "stopped"]
"""Why an answer ended: complete, at its longest, with a call in the last turn, or stopped by the user."""

FILE = "chat.json"
"""The file of a spec in the folder of a chat."""

SOCKET = "socket"
"""The socket there, on which the terminal listens."""


class ChatSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is served."""

    model: str
    """A folder or a hub name."""
    generation: Generation
    max_tokens: int
    """Longest answer; with a tool, all turns and replies together."""
    temperature: float
    """0: greedy."""


class Message(msgspec.Struct, frozen=True):
    """A message of the conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Asks for the answer to a conversation."""

    messages: tuple[Message, ...]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Stops the answer."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded."""

    positions: int
    """Tokens of the longest conversation with its answer."""


class Text(msgspec.Struct, frozen=True, tag="text"):
    """More text of the answer."""

    text: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """The model calls the tool."""

    code: str


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """What the tool replies to the model."""

    text: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The answer is complete."""

    content: str
    """The answer as the chat template renders it in the next prompt."""
    finish: Finish
    tokens: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """There is no answer; the chat continues."""

    reason: str


Request = Ask | Stop
Event = Ready | Text | Call | Reply | Done | Failed
