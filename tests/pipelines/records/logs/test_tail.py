"""The lines of a log that grows, is replaced, or is no text."""

from __future__ import annotations

from pathlib import Path

from pipelines.records.logs.tail import Tail


def test_a_line_is_read_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert [*tail.read(ended=False)] == []
    path.write_text("one\ntw")
    assert [*tail.read(ended=False)] == ["one"]
    with path.open("a") as file:
        file.write("o\nthree")
    assert [*tail.read(ended=False)] == ["two"]
    assert [*tail.read(ended=True)] == ["three"]
    assert [*tail.read(ended=True)] == []


def test_a_log_that_was_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    """The results of a stage that is trained again are moved away."""
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    tail = Tail(path)
    assert [*tail.read()] == ["one", "two"]
    path.rename(tmp_path / "replaced")
    path.write_text("three\n")
    assert [*tail.read()] == ["three"]


def test_what_a_log_has_already_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert [*Tail(path, after_present=True).read()] == []
    path.write_text("an earlier attempt\n")
    tail = Tail(path, after_present=True)
    with path.open("a") as file:
        file.write("one\n")
    assert [*tail.read()] == ["one"]


def test_a_log_longer_than_a_chunk(tmp_path: Path, monkeypatch: object) -> None:
    path = tmp_path / "log"
    lines = [f"line {number} {'x' * 1000}" for number in range(3000)]
    path.write_text("\n".join(lines))
    assert [*Tail(path).read()] == lines


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a\xffb\n")
    assert [*Tail(path).read()] == ["a\ufffdb"]
