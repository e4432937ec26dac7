"""Find files of a checkpoint that were not written to their end, without loading them.

A trainer marks a checkpoint as complete when it has written all files. After a crash of the machine or on a full disk, files
may be shorter than written nevertheless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile

NOT_WRITTEN = "its last file is missing"
"""What is wrong with a checkpoint that the trainer did not finish."""

_TORCH = (".pt", ".pth", ".bin", ".ckpt")
_LARGEST_HEADER = 100_000_000
"""The format's limit of a safetensors header."""

_SHARD = re.compile(r"(?P<kind>.+)_world_size_(?P<ranks>\d+)_rank_(?P<rank>\d+)\.pt")


def find_damage(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint, such as `optimizer.pt is cut off`; None if nothing is."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    damaged = (f"{path.relative_to(folder)} {reason}" for path in files if (reason := _why_damaged(path)))
    return next(damaged, None) or next(_missing_shards(folder, files), None)


def _why_damaged(path: Path) -> str | None:
    if path.suffix == ".safetensors":
        return None if _is_complete_safetensors(path) else "is cut off"
    if path.suffix in _TORCH:
        return None if _is_complete_archive(path) else "is cut off"
    if path.suffix == ".json":
        return None if _is_json(path) else "is cut off"
    return None


def _is_complete_safetensors(path: Path) -> bool:
    """The header has the end of each tensor's bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LARGEST_HEADER):
            return False
        try:
            header = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return False
    return 8 + length + max(ends, default=0) == size


def _is_complete_archive(path: Path) -> bool:
    """torch.save writes a zip file, whose directory is at its end; other formats are only checked for content."""
    with path.open("rb") as file:
        first = file.read(4)
    if first[:2] != b"PK":
        return bool(first.strip(b"\0"))
    try:
        with ZipFile(path) as archive:
            return bool(archive.namelist())
    except (BadZipFile, OSError, ValueError):
        return False


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _missing_shards(folder: Path, files: list[Path]) -> Iterator[str]:
    """Yield the files of ranks that are missing, of those that verl writes per rank."""
    ranks: dict[tuple[Path, str, int], set[int]] = {}
    for path in files:
        if found := _SHARD.fullmatch(path.name):
            ranks.setdefault((path.parent, found["kind"], int(found["ranks"])), set()).add(int(found["rank"]))
    for (parent, kind, count), present in ranks.items():
        for rank in set(range(count)) - present:
            yield f"{(parent / f'{kind}_world_size_{count}_rank_{rank}.pt').relative_to(folder)} is missing"
