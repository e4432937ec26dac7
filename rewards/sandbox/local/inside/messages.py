"""Messages between the sandbox's client and its processes. They are data only, because either side may be hostile.

A request is fields as JSON, then source and standard input as bytes. An answer is JSON, or an execution in a binary form.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from typing import Any

from rewards.sandbox.local.inside.buffers import Buffer, write_all

PROGRAMS, SESSION = b"p", b"s"
"""The requests to the template, for a worker that runs programs and for one that runs the calls of a session."""
_REQUEST = struct.Struct("!III")
_JSON = struct.Struct("!cI")
_EXECUTION = struct.Struct("!cBiddIIi")
_IS_JSON, _IS_EXECUTION = b"J", b"E"
read_request, pack_execution = _REQUEST.unpack_from, _EXECUTION.pack
_HEAD = _REQUEST.size
VERDICTS = ("ok", "error", "timeout", "memory", "output", "killed")
_NUMBERS = {verdict: number for number, verdict in enumerate(VERDICTS)}
_NO_STATUS = -(1 << 31)


def pack_request(fields: bytes, code: bytes = b"", stdin: bytes = b"") -> bytes:
    """Pack a request; `fields` is already JSON, because it is the same for many programs."""
    return b"".join((_REQUEST.pack(len(fields), len(code), len(stdin)), fields, code, stdin))


def receive_request(
    connection: socket.socket, folder: str, buffer: Buffer, passing: Buffer
) -> tuple[bytes, memoryview, int] | None:
    """Receive the next request: its fields, its source, and a descriptor of its standard input (-1: empty).

    The source is in `buffer`. Standard input passes through `passing` to an unnamed file in `folder`. Returns None if the
    other side has closed.
    """
    # Not more than the source: the program is forked with this buffer, and must not find its standard input in it.
    received = connection.recv_into(buffer.map, _HEAD)
    if not received or (received < _HEAD and not _receive_into(connection, buffer.view[received:_HEAD])):
        return None
    fields_size, code_size, stdin_size = read_request(buffer.map)
    begin = _HEAD + fields_size
    end = begin + code_size
    if end > len(buffer.view):
        buffer.reserve(end)
    rest = buffer.view[_HEAD:end]
    received = connection.recv_into(rest)
    if received < len(rest) and not (received and _receive_into(connection, rest[received:])):
        return None
    descriptor = -1
    if stdin_size:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o644)
        while stdin_size:
            part = passing.view[: min(stdin_size, len(passing.view))]
            if not _receive_into(connection, part):
                return None
            write_all(descriptor, part)
            stdin_size -= len(part)
        os.lseek(descriptor, 0, os.SEEK_SET)
    return buffer.map[_HEAD:begin], buffer.view[begin:end], descriptor


def pack_json(message: Any) -> bytes:
    """Pack an answer that is not an execution."""
    body = json.dumps(message).encode("ascii")
    return _JSON.pack(_IS_JSON, len(body)) + body


def send_execution(
    connection: socket.socket,
    verdict: str,
    status: int | None,
    seconds: float,
    cpu_seconds: float,
    output: memoryview | bytes,
    error: memoryview | bytes,
    value: bytes | None = None,
) -> None:
    """Send an execution; an unknown `cpu_seconds` is NaN."""
    code, number = _NUMBERS[verdict], _NO_STATUS if status is None else status
    sizes = len(output), len(error), -1 if value is None else len(value)
    head = pack_execution(_IS_EXECUTION, code, number, seconds, cpu_seconds, *sizes)
    sent = connection.sendmsg((head, output, error, value or b""))
    if sent == len(head) + len(output) + len(error) + max(0, sizes[2]):
        return
    parts = [memoryview(each) for each in (head, output, error, value or b"")]
    while True:
        while parts and sent >= len(parts[0]):
            sent -= len(parts.pop(0))
        if not parts:
            return
        parts[0] = parts[0][sent:]
        sent = connection.sendmsg(parts)


def send_fault(connection: socket.socket, error: BaseException) -> None:
    """Report a failure of the worker's own code, after which it ends."""
    with contextlib.suppress(OSError):
        connection.sendall(pack_json({"fault": f"{type(error).__name__}: {error}"[:300]}))


def size(data: bytes | bytearray) -> int:
    """Return the length of the answer that begins with `data`; more than its length while that is unknown."""
    if data[:1] != _IS_EXECUTION:
        return json_size(data)
    if len(data) < _EXECUTION.size:
        return _EXECUTION.size
    *_, output, error, value = _EXECUTION.unpack_from(data)
    return int(_EXECUTION.size + output + error + max(0, value))


def json_size(data: bytes | bytearray) -> int:
    """Return the same for an answer that is JSON."""
    return int(_JSON.size + _JSON.unpack_from(data)[1]) if len(data) >= _JSON.size else _JSON.size


def unpack_json(data: bytes | bytearray) -> dict[str, Any]:
    """Unpack an answer that is JSON."""
    message = json.loads(data[_JSON.size :])
    return message if isinstance(message, dict) else {}


def unpack(data: bytes | bytearray) -> dict[str, Any]:
    """Unpack an answer; an execution as its fields."""
    if data[:1] != _IS_EXECUTION:
        return unpack_json(data)
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


def _receive_into(connection: socket.socket, view: memoryview) -> bool:
    """Fill `view`. Return False if the other side closes before."""
    while view:
        count = connection.recv_into(view)
        if not count:
            return False
        view = view[count:]
    return True
