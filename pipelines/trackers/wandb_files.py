"""The files of offline runs of W&B: LevelDB's log format with records in W&B's protocol buffers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.trackers.base import NOTHING

_BLOCK = 32768
_HEADER = 7
"""Bytes of the file's header (`:W&B`, magic, version), and of a chunk's header (checksum, length, kind)."""
_FULL, _FIRST, _MIDDLE, _LAST = range(1, 5)


def find_last_step(folder: Path, identity: str) -> float:
    """Return the last step that the offline runs with that id have, or NOTHING."""
    last = NOTHING
    for path in folder.glob(f"offline-run-*-{identity}/run-{identity}.wandb"):
        for record in read_records(path):
            if record.HasField("history"):
                last = max(last, read_step(record.history))
    return last


def read_step(history: Any) -> float:
    """Return the step of a history record."""
    if history.HasField("step"):
        return float(history.step.num)
    return next((float(json.loads(item.value_json)) for item in history.item if item.key == "_step"), NOTHING)


def read_records(path: Path) -> Iterator[Any]:
    """Yield the records (`wandb_internal_pb2.Record`) of a file, up to the first that a kill has torn."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    for data in _read_chunks(path.read_bytes()):
        record = Record()
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
