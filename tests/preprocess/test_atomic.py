"""Atomic replacement of files, folders and links."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from preprocess import atomic


def _list(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


def test_replaces_a_file_a_folder_and_a_link(tmp_path: Path) -> None:
    file, folder, link = (tmp_path / name for name in ("file", "folder", "link"))
    for text in ("old", "new"):
        atomic.write_text(file, text)
        with atomic.replacement(folder) as temporary:
            temporary.mkdir()
            (temporary / text).touch()
        with atomic.replacement(link) as temporary:
            temporary.symlink_to(text)
    assert file.read_text() == "new" and str(link.readlink()) == "new"
    assert _list(tmp_path) == ["file", "folder", "folder/new", "link"]


def test_failed_block_changes_nothing(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "file", "old")
    with pytest.raises(KeyError), atomic.open_text(tmp_path / "file") as file:
        file.write("half")
        raise KeyError
    with pytest.raises(KeyError), atomic.replacement(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "half").touch()
        raise KeyError
    assert (tmp_path / "file").read_text() == "old" and _list(tmp_path) == ["file"]


def test_sweep_deletes_files_of_dead_processes_only(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    (tmp_path / f".dead.{child.pid}.tmp").touch()
    (tmp_path / f".folder.{child.pid}.tmp").mkdir()
    atomic.temporary_path(tmp_path / "alive").touch()
    (tmp_path / ".other.tmp").touch()
    atomic.sweep(tmp_path)
    assert _list(tmp_path) == sorted([atomic.temporary_path(tmp_path / "alive").name, ".other.tmp"])
