"""What is built: read from the folders themselves, no process started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.environments import stamp
from pipelines.environments.building import site_packages
from pipelines.environments.choice import environment
from pipelines.environments.pins import PLATFORMS, TRAINERS, Pin, pin

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform


@dataclass(frozen=True)
class Row:
    """One trainer on one platform."""

    trainer: str
    platform: Platform
    state: str
    """`built`, `stale: …` or `not built`; for an existing Python that a variable points at, `PIPELINE_…_PYTHON`."""
    versions: tuple[tuple[str, str], ...]
    """The main packages and their versions; what is pinned while nothing is built."""
    bytes_on_disk: int
    path: Path


def listing() -> list[Row]:
    """One row per trainer and platform that has a lock."""
    return [_row(pin(t), p) for t in TRAINERS for p in PLATFORMS if pin(t).lock(p).is_file()]


def size_on_disk(directory: Path) -> int:
    """Bytes that a folder occupies; files with several names are counted once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            # A hundred thousand files: joining by Path would take longer than asking the disk.
            status = os.lstat(os.path.join(folder, name))  # noqa: PTH118
            if status.st_nlink > 1:
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return total


def readable(count: int) -> str:
    """Bytes for people: `1.3 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def installed_versions(directory: Path) -> dict[str, str]:
    """Distribution -> version, read from the names of an environment's dist-info folders."""
    found = {}
    for info in site_packages(directory).glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        found[name.lower().replace("_", "-")] = version
    return found


def _row(pinned: Pin, platform: Platform) -> Row:
    from pipelines.environments.pins import locked_versions

    chosen = environment(pinned.trainer, platform)
    if not chosen.pinned:
        return Row(pinned.trainer, platform, chosen.unready() or chosen.chosen_by, (), 0, chosen.python)
    directory = pinned.environment(platform)
    reason = stamp.differs(directory, stamp.expected(pinned, platform))
    built = directory.is_dir()
    state = "built" if reason is None else f"stale: {reason}" if built else "not built"
    versions = (
        installed_versions(directory) if built else {pinned.name: pinned.version, **locked_versions(pinned.lock(platform))}
    )
    shown = tuple((name, versions[name]) for name in (pinned.name, *pinned.shows) if name in versions)
    return Row(pinned.trainer, platform, state, shown, size_on_disk(directory) if built else 0, directory)
