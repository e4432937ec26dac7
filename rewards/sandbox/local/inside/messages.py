"""Messages between the sandbox's client and its processes. They are data only, because either side may be hostile.

A request is fields as JSON, then source and standard input as bytes. An answer is JSON, or an execution in a binary form.
Standard input may hold tests, which a program must not find in the memory it is forked with: it goes from the connection to
a file through one buffer, which is cleared.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

_REQUEST = struct.Struct("!III")
_JSON = struct.Struct("!cI")
_EXECUTION = struct.Struct("!cBiddIIi")
_IS_JSON, _IS_EXECUTION = b"J", b"E"
VERDICTS = ("ok", "error", "timeout", "memory", "output", "killed")
_NO_STATUS = -(1 << 31)
_BUFFER = bytearray(1 << 16)
_CLEAN = bytes(len(_BUFFER))


def pack_request(fields: bytes, code: bytes = b"", stdin: bytes = b"") -> bytes:
    """Pack a request; `fields` is already JSON, because it is the same for many programs."""
    return b"".join((_REQUEST.pack(len(fields), len(code), len(stdin)), fields, code, stdin))


def receive_request(connection: socket.socket, folder: str) -> tuple[bytes, bytes, int] | None:
    """Receive the next request: its fields, its code, and a descriptor of its standard input (-1: empty).

    The descriptor is of an unnamed file in `folder`. Returns None if the other side has closed.
    """
    head = _receive(connection, _REQUEST.size)
    if not head:
        return None
    fields_size, code_size, stdin_size = _REQUEST.unpack(head)
    both = _receive(connection, fields_size + code_size)
    if len(both) < fields_size + code_size:
        return None
    descriptor = -1
    if stdin_size:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        if not _receive_into(connection, stdin_size, descriptor):
            return None
        os.lseek(descriptor, 0, os.SEEK_SET)
    return both[:fields_size], both[fields_size:], descriptor


def pack_json(message: Any) -> bytes:
    """Pack an answer that is not an execution."""
    body = json.dumps(message).encode("ascii")
    return _JSON.pack(_IS_JSON, len(body)) + body


def pack_execution(
    verdict: str,
    status: int | None,
    seconds: float,
    cpu_seconds: float,
    output: bytes,
    error: bytes,
    value: bytes | None = None,
) -> bytes:
    """Pack an execution; an unknown `cpu_seconds` is NaN."""
    code, number = VERDICTS.index(verdict), _NO_STATUS if status is None else status
    sizes = len(output), len(error), -1 if value is None else len(value)
    return b"".join((_EXECUTION.pack(_IS_EXECUTION, code, number, seconds, cpu_seconds, *sizes), output, error, value or b""))


def size(data: bytes | bytearray) -> int:
    """Return the length of the answer that begins with `data`; more than its length while that is unknown."""
    if data[:1] == _IS_EXECUTION:
        if len(data) < _EXECUTION.size:
            return _EXECUTION.size
        *_, output, error, value = _EXECUTION.unpack_from(data)
        return int(_EXECUTION.size + output + error + max(0, value))
    return int(_JSON.size + _JSON.unpack_from(data)[1]) if len(data) >= _JSON.size else _JSON.size


def unpack(data: bytes | bytearray) -> dict[str, Any]:
    """Unpack an answer; an execution as its fields."""
    if data[:1] != _IS_EXECUTION:
        message = json.loads(data[_JSON.size :])
        return message if isinstance(message, dict) else {}
    _, verdict, status, seconds, cpu_seconds, output, error, value = _EXECUTION.unpack_from(data)
    texts, begin = [], _EXECUTION.size
    for length in (output, error, max(0, value)):
        texts.append(data[begin : begin + length].decode("utf-8", errors="replace"))
        begin += length
    return {
        "verdict": VERDICTS[verdict],
        "output": texts[0],
        "error": texts[1],
        "status": None if status == _NO_STATUS else status,
        "seconds": seconds,
        "cpu_seconds": None if cpu_seconds != cpu_seconds else cpu_seconds,
        "value": None if value < 0 else texts[2],
    }


def receive_json(connection: socket.socket) -> Any:
    """Receive the next answer that is not an execution; None if the other side has closed."""
    head = _receive(connection, _JSON.size)
    if not head:
        return None
    body = _receive(connection, _JSON.unpack(head)[1])
    return json.loads(body) if body else None


def _receive(connection: socket.socket, count: int) -> bytes:
    """Receive `count` bytes; fewer if the other side closes before."""
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data


def _receive_into(connection: socket.socket, count: int, descriptor: int) -> bool:
    view = memoryview(_BUFFER)
    try:
        while count:
            got = connection.recv_into(view[: min(count, len(_BUFFER))])
            if got == 0:
                return False
            written = 0
            while written < got:
                written += os.write(descriptor, view[written:got])
            count -= got
    finally:
        _BUFFER[:] = _CLEAN
    return True
