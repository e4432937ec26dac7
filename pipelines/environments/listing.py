"""List what is built, read from the folders: no process is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.console.sizes import format_bytes, size_on_disk
from pipelines.environments import stamp
from pipelines.environments.building import site_packages
from pipelines.environments.choice import environment
from pipelines.environments.pins import PLATFORMS, TRAINERS, Pin, locked_versions, pin

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

COLUMNS = ("trainer", "platform", "state", "versions", "size", "path")


def list_environments() -> list[tuple[str, ...]]:
    """Return a row of COLUMNS per trainer and platform that has a lock.

    The state is `built`, `stale: …` or `not built`, or the variable that names an existing Python. The versions are the
    installed ones or, before that, the locked ones.
    """
    return [_read_row(pin(t), p) for t in TRAINERS for p in PLATFORMS if pin(t).lock(p).is_file()]


def installed_versions(directory: Path) -> dict[str, str]:
    """Return distribution -> version, from the names of an environment's dist-info folders."""
    found = {}
    for info in site_packages(directory).glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        found[name.lower().replace("_", "-")] = version
    return found


def _read_row(pinned: Pin, platform: Platform) -> tuple[str, ...]:
    chosen = environment(pinned.trainer, platform)
    if not chosen.pinned:
        return (pinned.trainer, platform, chosen.why_not_ready() or chosen.chosen_by, "", "-", str(chosen.python))
    directory, size = chosen.directory, "-"
    reason = stamp.why_stale(directory, stamp.expected(pinned, platform))
    if directory.is_dir():
        versions, size = installed_versions(directory), format_bytes(size_on_disk(directory))
        state = f"stale: {reason}" if reason else "built"
    else:
        versions, state = {pinned.name: pinned.version, **locked_versions(pinned.lock(platform))}, "not built"
    shown = ", ".join(f"{name} {versions[name]}" for name in (pinned.name, *pinned.shows) if name in versions)
    return (pinned.trainer, platform, state, shown, size, str(directory))
