"""Whether what is built is what is pinned: a small file, written last, says what an environment was built from."""

from __future__ import annotations

import hashlib
import json
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.digests import write_atomically
from pipelines.environments.pins import Pin

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

_FORMAT = 1
"""Raised when the way of building changes so that what was built before must be built again."""


def expected(pin: Pin, platform: Platform) -> dict[str, Any]:
    """What an environment built now would be built from; reads a few small files, starts nothing."""
    return {
        "format": _FORMAT,
        "pin": f"{pin.name} {pin.version} {pin.sha256}",
        "platform": platform,
        "lock": _digest(pin.lock(platform)),
        "stand_ins": [[str(p.relative_to(pin.folder)), _digest(p)] for p in _files(pin.stand_ins(platform))],
        "project": str(pin.root),
        "metadata": _project_metadata(pin.root),
    }


def differs(directory: Path, wanted: dict[str, Any]) -> str | None:
    """Why the environment has to be built: None when it is whole and up to date."""
    if not (directory / "bin" / "python").exists():
        return "it is not built" if not directory.exists() else "its Python is gone"
    found = read(directory)
    if not found:
        return "it was not built to its end"
    changed = [key for key, value in wanted.items() if found.get(key) != value]
    return f"{' and '.join(changed)} changed" if changed else None


def read(directory: Path) -> dict[str, Any]:
    """What an environment says of itself; empty when it was not built to its end."""
    with suppress(OSError, ValueError):
        found = json.loads(_file(directory).read_text("utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def write(directory: Path, values: dict[str, Any]) -> None:
    """Declares a folder whole. The last act of building it."""
    write_atomically(_file(directory), json.dumps(values, indent=1) + "\n")


def _file(directory: Path) -> Path:
    return directory / ".pipeline.json"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc") if folder.is_dir() else []


def _project_metadata(root: Path) -> str:
    """A digest of what an editable installation copies out of pyproject.toml; the code itself stays in its place."""
    values = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    project = values.get("project", {})
    installed = {key: project.get(key) for key in ("name", "version", "scripts", "entry-points")}
    build = values.get("tool", {}).get("hatch", {}).get("build")
    return hashlib.sha256(json.dumps([installed, build], sort_keys=True).encode()).hexdigest()
