"""Markers and deletion of checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.trainers.verl.checkpoints.rotation import mark_complete, read_marker, remove_old


@pytest.mark.parametrize(
    ("keep", "best", "kept"),
    [
        (None, None, [2, 4, 10, 12]),
        (1, None, [12]),
        (2, None, [10, 12]),  # by number: 10 is newer than 4
        (2, 4, [4, 10, 12]),
        (2, 10, [10, 12]),
    ],
)
def test_newest_and_best_are_kept(tmp_path: Path, keep: int | None, best: int | None, kept: list[int]) -> None:
    for step in (2, 4, 10, 12):
        (tmp_path / f"global_step_{step}").mkdir()
        mark_complete(tmp_path / f"global_step_{step}", {"step": step})
    remove_old(tmp_path, keep, best)
    assert sorted(int(path.name.rpartition("_")[2]) for path in tmp_path.iterdir()) == kept


def test_missing_or_truncated_marker_is_none(tmp_path: Path) -> None:
    assert read_marker(tmp_path) is None
    mark_complete(tmp_path, {"step": 3})
    assert read_marker(tmp_path) == {"step": 3}
    (tmp_path / "progress.json").write_text('{"step": ')
    assert read_marker(tmp_path) is None
