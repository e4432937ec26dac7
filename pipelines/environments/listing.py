"""List what is built, read from the folders: no process is started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.environments import stamp
from pipelines.environments.building import site_packages
from pipelines.environments.choice import environment
from pipelines.environments.pins import PLATFORMS, TRAINERS, Pin, locked_versions, pin

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform


@dataclass(frozen=True)
class Row:
    """One trainer on one platform."""

    trainer: str
    platform: Platform
    state: str
    """`built`, `stale: …` or `not built`; the variable's name for an existing Python that it names."""
    versions: tuple[tuple[str, str], ...]
    """The main packages, as installed or, before that, as locked."""
    bytes_on_disk: int
    path: Path


def list_environments() -> list[Row]:
    """Return a row per trainer and platform that has a lock."""
    return [_read_row(pin(t), p) for t in TRAINERS for p in PLATFORMS if pin(t).lock(p).is_file()]


def size_on_disk(directory: Path) -> int:
    """Return the bytes that a folder occupies; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            # For 100,000 files, pathlib's join takes longer than lstat.
            status = os.lstat(os.path.join(folder, name))  # noqa: PTH118
            if status.st_nlink > 1:
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return total


def format_bytes(count: int) -> str:
    """Return a number of bytes as `1.3 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def installed_versions(directory: Path) -> dict[str, str]:
    """Return distribution -> version, from the names of an environment's dist-info folders."""
    found = {}
    for info in site_packages(directory).glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        found[name.lower().replace("_", "-")] = version
    return found


def _read_row(pinned: Pin, platform: Platform) -> Row:
    chosen = environment(pinned.trainer, platform)
    if not chosen.pinned:
        return Row(pinned.trainer, platform, chosen.why_not_ready() or chosen.chosen_by, (), 0, chosen.python)
    directory = chosen.directory
    reason, exists = stamp.why_stale(directory, stamp.expected(pinned, platform)), directory.is_dir()
    state = "built" if reason is None else f"stale: {reason}" if exists else "not built"
    locked = {pinned.name: pinned.version, **locked_versions(pinned.lock(platform))}
    versions = installed_versions(directory) if exists else locked
    shown = tuple((name, versions[name]) for name in (pinned.name, *pinned.shows) if name in versions)
    return Row(pinned.trainer, platform, state, shown, size_on_disk(directory) if exists else 0, directory)
