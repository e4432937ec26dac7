"""Sizes on disk."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.console.sizes import format_bytes, size_on_disk


def test_a_file_with_two_names_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    alone = size_on_disk(tmp_path)
    os.link(tmp_path / "one", tmp_path / "two")
    assert alone >= 100_000
    assert size_on_disk(tmp_path) == alone


def test_bytes_are_formatted_in_two_units() -> None:
    assert [format_bytes(count) for count in (0, 13_200_000, 1_340_000_000)] == ["0 MB", "13 MB", "1.3 GB"]
