"""Files of metrics that grow while they are polled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.trainers import metric_lines
from pipelines.trainers.metric_lines import read_rows, read_steps


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


def steps(*paths: Path) -> list[dict[str, float]]:
    """Return the steps; an attempt that begins at step N keeps those before it."""
    return read_steps(paths, dict, lambda first: first["step"] - 1)


def test_rows_of_a_step_are_merged_without_changing_them(tmp_path: Path) -> None:
    path = tmp_path / "1"
    path.write_text(line(1, loss=0.5) + line(1, eval_loss=0.25, loss=0.75) + line(3) + line(2))
    assert steps(path) == [{"step": 1, "loss": 0.75, "eval_loss": 0.25}, {"step": 2}, {"step": 3}]
    assert read(path)[0][0] == {"step": 1, "loss": 0.5}


def test_an_attempt_replaces_the_steps_that_were_lost(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_text("".join(line(step, attempt=1) for step in range(1, 6)))
    assert [row["step"] for row in steps(first)] == [1, 2, 3, 4, 5]
    second.write_text(line(4, attempt=2))
    assert [row["attempt"] for row in steps(first, second)] == [1, 1, 1, 2]


def test_new_rows_are_merged_as_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prefix of the lines of three attempts, read as it grows and read at once; the second attempt logged nothing."""
    paths = [tmp_path / name for name in "123"]
    written = [(0, step) for step in range(1, 9)] + [(2, step) for step in (4, 5, 5, 6, 7, 8, 9, 10)]
    for path in paths:
        path.touch()
    for number, (place, step) in enumerate(written):
        with paths[place].open("a") as file:
            file.write(line(step, attempt=place, **{f"value_{number}": number}))
        grown = steps(*paths)
        with monkeypatch.context() as fresh:
            fresh.setattr(metric_lines, "_files", {})
            fresh.setattr(metric_lines, "_merged", metric_lines._Merged())
            assert steps(*paths) == grown
    assert [row["step"] for row in grown] == list(range(1, 11))
    assert {row["attempt"] for row in grown[3:]} == {2}


def test_only_new_rows_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "1"
    path.write_text("".join(line(step) for step in range(100)))
    assert len(steps(path)) == 100
    merged: list[float] = []
    add = metric_lines._Merged._add

    def count(self: Any, row: dict[str, float]) -> None:
        merged.append(row["step"])
        add(self, row)

    monkeypatch.setattr(metric_lines._Merged, "_add", count)
    for step in (100, 101):
        with path.open("a") as file:
            file.write(line(step))
        for _ in range(2):
            assert len(steps(path)) == step + 1
    assert merged == [100, 101]


def test_steps_of_another_training_are_read_anew(tmp_path: Path) -> None:
    for name in "121":
        (tmp_path / name).write_text(line(int(name)))
        assert steps(tmp_path / name) == [{"step": int(name)}]
    (tmp_path / "1").write_text(line(5) + line(6))
    assert steps(tmp_path / "1") == [{"step": 5}, {"step": 6}]
    (tmp_path / "1").unlink()
    assert steps(tmp_path / "1") == []
