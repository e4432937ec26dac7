"""How far a preparation is, told by a file."""

from __future__ import annotations

from pathlib import Path

from preprocess.engine.progress import ProgressCounts, progress_file, read_progress


def test_it_is_told_while_it_lasts(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    assert read_progress(path) is None
    with progress_file(path) as progress:
        progress(10, 100, 3)
        assert read_progress(path) == ProgressCounts(10, 100, 3)
        progress(11, 100, 4)
        assert read_progress(path) == ProgressCounts(10, 100, 3), "not more than a few times a second"
        progress(100, 100, 9)
        assert read_progress(path) == ProgressCounts(100, 100, 9), "but always the end"
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    with progress_file(tmp_path / "nowhere" / "progress.json") as progress:
        progress(10, 100, 3)


def test_what_is_no_progress_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("{")
    (tmp_path / "b").write_text('{"records": 1}')
    assert [read_progress(tmp_path / name) for name in "ab"] == [None, None]
