"""Messages between the sandbox's client and its processes: a length, then JSON. Data only, whatever the other side is."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

LONGEST = 1 << 30
_HEAD = struct.Struct("!I")


def pack(message: Any) -> bytes:
    """One message as bytes."""
    # ASCII, so that any text passes, lone surrogates included.
    body = json.dumps(message).encode("ascii")
    return _HEAD.pack(len(body)) + body


def receive(connection: socket.socket, longest: int = LONGEST) -> Any:
    """The next message; None where the other side has closed.

    Raises:
        ValueError: it is no message, or longer than `longest` bytes.
    """
    head = _receive_exactly(connection, _HEAD.size)
    if head is None:
        return None
    (size,) = _HEAD.unpack(head)
    if size > longest:
        raise ValueError(f"a message of {size} bytes")
    body = _receive_exactly(connection, size)
    return None if body is None else json.loads(body)


def is_whole(data: bytes) -> bool:
    """Whether these bytes are a message to its end."""
    return len(data) >= _HEAD.size and len(data) - _HEAD.size >= int(_HEAD.unpack_from(data)[0])


def unpack(data: bytes) -> Any:
    """The message that these bytes are."""
    return json.loads(data[_HEAD.size :])


def _receive_exactly(connection: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view, filled = memoryview(data), 0
    while filled < size:
        count = connection.recv_into(view[filled:])
        if count == 0:
            return None
        filled += count
    return data
