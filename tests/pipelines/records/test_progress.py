"""`reached.json`: how far a step is."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from pipelines.records.progress import FILE, Reached, read_reached, write_reached


def test_progress_is_read_as_it_was_written(tmp_path: Path) -> None:
    reached = Reached(step=3, total=30, metrics={"reward": 0.5, "kl": 0.1}, at=time.time())
    write_reached(tmp_path, reached)
    assert read_reached(tmp_path) == reached
    assert list(reached.metrics) == ["reward", "kl"], "the most important first"


def test_time_left_counts_from_now(tmp_path: Path) -> None:
    write_reached(tmp_path, Reached(step=3, total=30, seconds_left=100.0, at=time.time() - 40))
    reached = read_reached(tmp_path)
    assert reached is not None and reached.seconds_left is not None and reached.seconds_left <= 60
    write_reached(tmp_path, Reached(step=3, total=30, seconds_left=100.0, at=time.time() - 400))
    reached = read_reached(tmp_path)
    assert reached is not None and reached.seconds_left == 0


def test_a_metric_that_is_not_a_number(tmp_path: Path) -> None:
    write_reached(tmp_path, Reached(step=3, metrics={"loss": math.inf, "lr": 0.1}, at=time.time()))
    reached = read_reached(tmp_path)
    assert reached is not None and math.isnan(reached.metrics["loss"]) and reached.metrics["lr"] == 0.1


@pytest.mark.parametrize(
    "text", ['{"step": 1, "at": 1, "metrics": [1]}', "", "{}", "[1]", '{"step": "3"', '{"step": "3", "at": 1}']
)
def test_damaged_progress_is_unknown(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert read_reached(tmp_path) is None
