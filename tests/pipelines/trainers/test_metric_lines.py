"""Files of metrics that grow while they are polled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.trainers import metric_lines
from pipelines.trainers.metric_lines import merge_row, read_rows


def line(step: int, **values: float) -> str:
    return json.dumps({"step": step, **values}) + "\n"


def read(*paths: Path) -> list[list[dict[str, float]]]:
    return read_rows(paths, dict)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The lines that were parsed."""
    lines: list[bytes] = []

    class Json:
        @staticmethod
        def loads(text: bytes) -> Any:
            lines.append(text)
            return json.loads(text)

    monkeypatch.setattr(metric_lines, "json", Json)
    return lines


def test_each_line_is_parsed_once(tmp_path: Path, parsed: list[bytes]) -> None:
    paths = [tmp_path / "1", tmp_path / "2"]
    for path in paths:
        path.write_text("".join(line(step, loss=step / 7) for step in range(100)))
    for step in range(100, 130):
        with paths[1].open("a") as file:
            file.write(line(step, loss=0.5))
        first, second = read(*paths)
        assert len(first) == 100
        assert [row["step"] for row in second] == list(range(step + 1))
    assert len(parsed) == 230


def test_line_that_is_being_written_is_read_when_it_is_complete(tmp_path: Path) -> None:
    path, text = tmp_path / "1", (line(1) + line(2, loss=0.5)).encode()
    for length in range(len(text) + 1):
        path.write_bytes(text[:length])
        complete = text[:length].count(b"}")
        assert [row["step"] for row in read(path)[0]] == [1, 2][:complete]


def test_line_truncated_by_a_kill_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "1"
    path.write_bytes(line(1).encode() + b'{"step": 2, "l\xc3\n' + line(3).encode() + b'{"st\xc3')
    assert [row["step"] for row in read(path)[0]] == [1, 3]


@pytest.mark.parametrize("text", ["", line(7), line(7) * 9, line(1, loss=0.25)])
def test_replaced_file_is_read_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "1"
    path.write_text(line(1, loss=0.5) + line(2))
    assert len(read(path)[0]) == 2
    path.write_text(text)
    assert [json.dumps(row) + "\n" for row in read(path)[0]] == text.splitlines(keepends=True)


def test_missing_file_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "1"
    assert read(path) == [[]]
    path.write_text(line(1))
    assert len(read(path)[0]) == 1
    path.unlink()
    assert read(path) == [[]]
    path.write_text(line(2))
    assert read(path) == [[{"step": 2}]]


def test_rows_of_a_step_are_merged_without_changing_them() -> None:
    steps: dict[int, dict[str, float]] = {}
    first = {"step": 1, "loss": 0.5}
    for row in (first, {"step": 1, "eval_loss": 0.25, "loss": 0.75}):
        merge_row(steps, row)
    assert steps == {1: {"step": 1, "loss": 0.75, "eval_loss": 0.25}}
    assert first == {"step": 1, "loss": 0.5}
