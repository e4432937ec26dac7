"""LevelDB's log format, in which the offline runs of W&B and SwanLab keep their records."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 32768
_HEADER = 7
"""Bytes of the file's header (name, magic, version), and of a chunk's header (checksum, length, kind)."""
_FULL, _FIRST, _MIDDLE, _LAST = range(1, 5)


def read_records(path: Path, kind: type[Any]) -> Iterator[Any]:
    """Yield the records of a file, up to the first that a kill has torn.

    Args:
        path: The file.
        kind: The class of its records, of a protocol buffer.
    """
    from google.protobuf.message import DecodeError

    for data in _read_chunks(path.read_bytes()):
        record = kind()
        try:
            record.ParseFromString(data)
        except DecodeError:
            return
        yield record


def _read_chunks(data: bytes) -> Iterator[bytes]:
    """Yield the records of LevelDB's log format; the first block begins after the file's header."""
    at, parts = _HEADER, b""
    while at + _HEADER <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        body = data[at + _HEADER : at + _HEADER + length]
        if len(body) < length or kind not in (_FULL, _FIRST, _MIDDLE, _LAST):
            return
        parts = body if kind in (_FULL, _FIRST) else parts + body
        if kind in (_FULL, _LAST):
            yield parts
        at += _HEADER + length
