"""Reading a growing file of metrics: each step once, whatever is torn or replaced."""

from __future__ import annotations

from pathlib import Path

from pipelines.records.metrics import MetricsFile, MetricsReader


def read(reader: MetricsReader, most: int = 100) -> list[float]:
    return [row["step"] for row in reader.read(most)]


def test_a_growing_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    reader, file = MetricsReader(path), MetricsFile(path)
    assert read(reader) == []
    rows = [{"step": step, "loss": 1.0} for step in range(1, 21)]
    file.write(rows[:4])
    assert read(reader) == [1, 2, 3]
    file.write(rows[:7])
    assert read(reader, 2) == [4, 5] and read(reader) == [6] and read(reader) == []
    file.write(rows, ended=True)
    assert read(reader) == list(range(7, 21)), "the end writes all steps again"


def test_a_torn_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"ste')
    reader = MetricsReader(path)
    assert read(reader) == [1]
    with path.open("a") as file:
        file.write('p": 2}\nno\n{"step": 3}\n')
    assert read(reader) == [2, 3]


def test_a_replaced_file_is_read_again_after_the_last_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 1}\n{"step": 2, "loss": 1}\n')
    reader = MetricsReader(path, after=1)
    assert read(reader) == [2]
    path.write_text('{"step": 1, "loss": 22}\n')
    assert read(reader) == []
    path.write_text('{"step": 1, "loss": 22}\n{"step": 2, "loss": 22}\n{"step": 3, "loss": 22}\n')
    assert read(reader) == [3]
    path.unlink()
    assert read(reader) == []
