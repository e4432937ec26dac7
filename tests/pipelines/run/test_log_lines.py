"""Following a log while it is written."""

from __future__ import annotations

from pathlib import Path

from pipelines.run.log_lines import LogLines


def test_only_new_and_complete_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an earlier attempt\n")
    lines = LogLines(log)
    assert list(lines.read()) == []
    with log.open("a") as file:
        file.write("one\ntw")
    assert list(lines.read()) == ["one"]
    with log.open("a") as file:
        file.write("o\n\nthree")
    assert list(lines.read()) == ["two"]
    assert list(lines.read(ended=True)) == ["three"]
    assert list(lines.read(ended=True)) == []


def test_states_of_bars_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    lines = LogLines(tmp_path / "log")
    assert list(lines.read()) == []
    (tmp_path / "log").write_bytes(b" 10%|#\r 20%|##\r100%|##########\r\n\xff\r\n")
    assert list(lines.read()) == ["100%|##########", "\N{REPLACEMENT CHARACTER}"]
