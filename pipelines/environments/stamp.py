"""Compare environments and checkouts with their pins: a small file, written last, records what each was built from."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.digests import write_atomically
from pipelines.environments.pins import Pin
from pipelines.models.folder import read_json_object
from pipelines.shipped import import_path

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

Source = Literal["registry", "git"]
"""Where the source comes from: the package registry, by its hash, or git, by its tag."""

FILE = ".pipeline.json"

_FORMAT = 1
"""Increased when environments of the previous format must be rebuilt."""


def expected(pin: Pin, platform: Platform) -> dict[str, Any]:
    """Return what the environment would be built from now. Reads small files, starts no process."""
    stand_ins = pin.stand_ins(platform)
    files = sorted(path for path in stand_ins.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {
        "format": _FORMAT,
        "pin": f"{pin.name} {pin.version} {pin.sha256}",
        "platform": platform,
        "lock": _digest(pin.lock(platform)),
        "stand_ins": [[str(path.relative_to(pin.folder)), _digest(path)] for path in files],
        "project": str(pin.project or import_path()),
        "metadata": _digest_metadata(pin.project) if pin.project else None,
    }


def why_stale(directory: Path, wanted: dict[str, Any]) -> str | None:
    """Return why the environment must be built; None if it is complete and up to date."""
    if not (directory / "bin" / "python").exists():
        return "it is not built" if not directory.exists() else "its Python is missing"
    found = read(directory)
    if not found:
        return "its build was interrupted"
    changed = [key for key, value in wanted.items() if found.get(key) != value]
    return f"{' and '.join(changed)} changed" if changed else None


def identify_source(pin: Pin, source: Source) -> str:
    """Return what the checkout's stamp identifies its pin by."""
    return f"{pin.repository} {pin.tag}" if source == "git" else f"{pin.name} {pin.version} {pin.sha256}"


def is_checkout_from(pin: Pin, *sources: Source) -> bool:
    """Return whether the checkout is complete, of this pin, and from one of these sources; local edits do not count."""
    return read(pin.checkout).get("pin") in [identify_source(pin, each) for each in sources]


def why_checkout_stale(pin: Pin) -> str | None:
    """Return why the source must be downloaded; None if the checkout is of this pin, from either source."""
    if is_checkout_from(pin, "registry", "git"):
        return None
    return "its checkout is of another pin" if pin.checkout.exists() else "its checkout is missing"


def read(directory: Path) -> dict[str, Any]:
    """Read the stamp of a folder; an empty one if it is missing or damaged."""
    return read_json_object(directory / FILE)


def write(directory: Path, values: dict[str, Any]) -> None:
    """Mark an environment as complete. The last step of building it."""
    write_atomically(directory / FILE, json.dumps(values, indent=1) + "\n")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _digest_metadata(project: Path) -> str:
    """Return a digest of what an editable installation copies from pyproject.toml."""
    values = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    table = values.get("project", {})
    installed = {key: table.get(key) for key in ("name", "version", "scripts", "entry-points")}
    wheel = values.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
    build = {"targets": {"wheel": {"packages": wheel.get("packages")}}}
    return hashlib.sha256(json.dumps([installed, build], sort_keys=True).encode()).hexdigest()
