"""`metrics.jsonl`: grows while a stage is trained; each step is in it once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.records.metrics import MetricsFile, Row, read_last, read_metrics


def rows(*steps: int, loss: float = 1.0) -> list[Row]:
    return [{"step": step, "loss": loss} for step in steps]


def steps(path: Path) -> list[float]:
    return [row["step"] for row in read_metrics(path)]


def test_a_step_is_appended_when_the_next_one_has_begun(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.write(rows(1))
    assert not path.exists(), "the validation of step 1 may still be added"
    file.write(rows(1, 2))
    inode = path.stat().st_ino
    file.write(rows(1, 2, 3, 4))
    assert (steps(path), path.stat().st_ino) == ([1, 2, 3], inode)
    file.write(rows(1, 2, 3, 4))
    assert steps(path) == [1, 2, 3]


def test_the_end_has_all_steps_as_they_are_then(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.write(rows(1, 2, 3))
    file.write([*rows(1, 2), {"step": 3, "loss": 1.0, "val": 0.5}], ended=True)
    assert [*read_metrics(path)] == [*rows(1, 2), {"step": 3, "loss": 1.0, "val": 0.5}]


def test_earlier_steps_that_changed_are_written_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.write(rows(1, 2, 3, 4, 5))
    # The attempt resumed at step 3: steps 3 and 4 were lost.
    file.write(rows(1, 2, 3, loss=2.0))
    assert [row["loss"] for row in read_metrics(path)] == [2.0, 2.0]


def test_a_resumed_run_replaces_what_the_killed_one_wrote(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).write(rows(1, 2, 3, 4, 5))
    with path.open("a") as torn:
        torn.write('{"step": 5, "lo')
    after = MetricsFile(path)
    # The trainer resumed from the checkpoint of step 2, and logs step 3 again.
    after.write([*rows(1, 2), *rows(3, 4, loss=2.0)])
    assert [(row["step"], row["loss"]) for row in read_metrics(path)] == [(1, 1.0), (2, 1.0), (3, 2.0)]
    after.write([*rows(1, 2), *rows(3, 4, 5, loss=2.0)], ended=True)
    assert steps(path) == [1, 2, 3, 4, 5]


TORN = '{"step": 1, "loss": 3.0}\n{"step": 2, "loss"\n\n[]\n{"loss": 1.0}\n{"step": "4"}\n\xff\n'
TORN += '{"step": 5, "loss": 1.0}\n{"step": 6, "l'


def test_torn_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(TORN, encoding="latin-1")
    assert steps(path) == [1, 5]
    assert read_last(path) == {"step": 5, "loss": 1.0}


def test_steps_after_a_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).write(rows(1, 2, 3), ended=True)
    assert [row["step"] for row in read_metrics(path, after=1)] == [2, 3]


def test_a_missing_file_has_no_steps(tmp_path: Path) -> None:
    assert steps(tmp_path / "metrics.jsonl") == [] and read_last(tmp_path / "metrics.jsonl") is None


def test_the_newest_step_is_read_from_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    line = {f"metric {number}": 0.123456789 for number in range(100)}
    path.write_text("".join(json.dumps({"step": step, **line}) + "\n" for step in range(2000)))
    parsed = 0

    def parse(text: bytes) -> object:
        nonlocal parsed
        parsed += 1
        return loads(text)

    loads = json.loads
    monkeypatch.setattr("json.loads", parse)
    last = read_last(path)
    assert last is not None and (last["step"], parsed) == (1999, 1)


def test_the_newest_step_with_a_metric(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).write([{"step": 1, "loss": 2.0}, {"step": 2, "eval_loss": 1.0}], ended=True)
    assert read_last(path, "loss") == {"step": 1, "loss": 2.0}
    assert read_last(path, "reward") is None
