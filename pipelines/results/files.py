"""The files of an exported or pushed model, as `--json` prints them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipelines.console.sizes import format_bytes
from pipelines.console.tables import print_rows

VERSION = 1
"""Version of the layout of `--json`."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a model."""

    name: str
    bytes: int


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What `pipeline export --json` prints."""

    version: int = VERSION
    run: str
    """The run directory."""
    stage: str
    step: int | None
    """The step of the checkpoint; null: the model that the stage handed over."""
    folder: str
    files: list[File]


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What `pipeline push --json` prints."""

    version: int = VERSION
    run: str
    """The run directory."""
    stage: str
    step: int | None
    """The step of the checkpoint; null: the model that the stage handed over."""
    repository: str
    private: bool
    dry_run: bool
    url: str | None
    """The commit on the hub; null for a dry run."""
    files: list[File]


def list_files(folder: Path) -> list[File]:
    """Return the files of a folder; links count as what they lead to."""
    return [File(name=each.name, bytes=each.stat().st_size) for each in sorted(folder.iterdir()) if each.is_file()]


def print_files(files: list[File]) -> None:
    """Print the files with their sizes, and the sum."""
    rows = [(each.name, format_size(each.bytes)) for each in files]
    print_rows(("file", "size"), [*rows, ("all files", format_size(sum(each.bytes for each in files)))])


def format_size(count: int) -> str:
    """Return a number of bytes, small ones in kB."""
    return format_bytes(count) if count >= 1e6 else f"{count / 1e3:.1f} kB"
