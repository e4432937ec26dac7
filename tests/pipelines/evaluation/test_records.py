"""Records survive a kill in the middle of a line and a full disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.evaluation.records import Appender, Generated, RecordError, read


def make(sample: int, text: str = "a") -> Generated:
    return Generated("r", sample, text, 1, "stop")


def test_records_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "set" / "generated.jsonl"
    assert list(read(path, Generated)) == []
    appender = Appender(path)
    records = [make(0, "é\n\x00\u2028"), make(1, "b" * 200_000)]
    for each in records:
        appender.append(each)
    appender.close()
    assert list(read(path, Generated)) == records


@pytest.mark.parametrize("torn", [b'{"row": "r", "sam', b"x" * 200_000])
def test_torn_line_is_skipped_and_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "generated.jsonl"
    first = Appender(path)
    first.append(make(0))
    first.close()
    with path.open("ab") as file:
        file.write(torn)
    assert list(read(path, Generated)) == [make(0)]
    second = Appender(path)
    second.append(make(1))
    second.close()
    assert list(read(path, Generated)) == [make(0), make(1)]


def test_partial_write_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "generated.jsonl"
    appender = Appender(path)
    appender.append(make(0))
    write = os.pwrite

    def fill(file: int, data: bytes, offset: int) -> int:
        if len(data) < 10:
            raise OSError(28, "No space left on device")
        return write(file, data[: len(data) - 5], offset)

    monkeypatch.setattr(os, "pwrite", fill)
    with pytest.raises(OSError, match="No space left"):
        appender.append(make(1))
    monkeypatch.undo()
    appender.append(make(2))
    appender.close()
    assert list(read(path, Generated)) == [make(0), make(2)]


def test_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "generated.jsonl"
    path.write_text('{"row": "r", "sample": "x"}\n')
    with pytest.raises(RecordError, match=r"generated\.jsonl:1: not a generated"):
        list(read(path, Generated))
