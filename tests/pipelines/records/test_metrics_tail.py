"""The metrics that are added to a file, each once."""

from __future__ import annotations

from pathlib import Path

from pipelines.records.metrics import MetricsFile, MetricsTail


def test_new_steps_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    assert tail.read() == ([], False)
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    assert tail.read() == ([{"step": 1}, {"step": 2}], False)
    assert tail.read() == ([], False)
    with path.open("a") as file:
        file.write('p": 3}\n')
    assert tail.read() == ([{"step": 3}], False)


def test_a_file_that_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    path.write_text('{"step": 1}\n{"step": 2}\n')
    tail.read()
    path.write_text('{"step": 1, "loss": 3}\n')
    assert tail.read() == ([{"step": 1, "loss": 3}], True)
    path.unlink()
    assert tail.read() == ([], True)
    assert tail.read() == ([], False)


def test_the_end_of_a_training_replaces_nothing(tmp_path: Path) -> None:
    """The last write replaces the file with one that begins alike."""
    path = tmp_path / "metrics.jsonl"
    tail, file = MetricsTail(path), MetricsFile(path)
    rows = [{"step": float(step)} for step in range(1, 40)]
    file.write(rows)
    assert len(tail.read()[0]) == 38
    file.write(rows, ended=True)
    assert tail.read() == ([{"step": 39.0}], False)


def test_lines_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"loss": 1}\n\xff\n[]\n{"step": 2}\n')
    tail = MetricsTail(path)
    assert (tail.read()[0], tail.unreadable) == ([{"step": 1}, {"step": 2}], 3)
