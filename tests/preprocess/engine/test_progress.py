"""The progress file of a preparation."""

from __future__ import annotations

from pathlib import Path

import pytest

from preprocess.engine.progress import ProgressCounts, progress_file, read_progress


def test_updates_a_few_times_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("preprocess.engine.progress.time.monotonic", lambda: now)
    path = tmp_path / "progress.json"
    assert read_progress(path) is None
    with progress_file(path) as progress:
        progress(10, 100, 3)
        assert read_progress(path) == ProgressCounts(10, 100, 3)
        now += 0.1
        progress(11, 100, 4)
        assert read_progress(path) == ProgressCounts(10, 100, 3), "too early"
        now += 0.3
        progress(12, 100, 5)
        assert read_progress(path) == ProgressCounts(12, 100, 5)
        progress(100, 100, 9)
        assert read_progress(path) == ProgressCounts(100, 100, 9), "the end is always written"
    assert list(tmp_path.iterdir()) == []


def test_ignores_write_errors(tmp_path: Path) -> None:
    with progress_file(tmp_path / "nowhere" / "progress.json") as progress:
        progress(10, 100, 3)


def test_invalid_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("{")
    (tmp_path / "b").write_text('{"records": 1}')
    assert [read_progress(tmp_path / name) for name in "ab"] == [None, None]
