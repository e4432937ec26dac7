"""Atomic writes: a file, folder or link appears complete under its name, or the old one stays.

Standard library only: the trainers' environments import it, too.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def replacement(path: Path, *, fsync: bool = True) -> Iterator[Path]:
    """Yield a free temporary path next to `path`; what the block creates there replaces `path` when the block ends.

    If the block fails, the temporary file or folder is deleted and `path` is unchanged.

    Args:
        path: A file, folder or symbolic link. A folder is replaced by two renames.
        fsync: Flush a file to disk before the rename.

    Raises:
        OSError: The replacement could not be written.
    """
    temporary = temporary_path(path)
    _remove(temporary)
    try:
        yield temporary
        publish(temporary, path, fsync=fsync)
    finally:
        _remove(temporary)


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 text file for writing; it replaces `path` when the block ends without an error."""
    with replacement(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def write_text(path: Path, text: str, *, fsync: bool = True) -> None:
    """Write a UTF-8 text file.

    Raises:
        OSError: The file could not be written.
    """
    with replacement(path, fsync=fsync) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; return None if the file is missing or truncated.

    Raises:
        OSError: The file cannot be read. That is no reason to treat it as incomplete.
    """
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) else None


def publish(temporary: Path, path: Path, *, fsync: bool = True) -> None:
    """Rename a complete temporary file, folder or link to `path`, replacing what is there."""
    if temporary.is_dir() and not temporary.is_symlink():
        old = temporary_path(path.with_name(f"{path.name}.old"))
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        _remove(old)
        return
    if fsync and not temporary.is_symlink():
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    temporary.replace(path)


def temporary_path(path: Path) -> Path:
    """Return a hidden name next to `path` that `sweep` deletes if this process is killed."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def sweep(folder: Path, name: str = "*") -> None:
    """Delete the temporary files and folders of killed processes in a folder.

    Args:
        name: a pattern of the names that were to be written.
    """
    for path in folder.glob(f".{name}.*.tmp"):
        process = path.name.split(".")[-2]
        if process.isdigit() and not Path("/proc", process).exists():
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
