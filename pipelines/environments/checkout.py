"""The unpacked source of a trainer: which pin it is of, and whether it has local edits."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Literal

from pipelines.environments import stamp
from pipelines.environments.pins import Pin
from pipelines.errors import StepError

Source = Literal["registry", "git"]
"""Where the source comes from: the package registry, by its hash, or git, by its tag."""

_STAMP = ".pipeline.json"
_NOT_SOURCE = {"__pycache__", ".git"}


def is_up_to_date(pin: Pin, source: Source) -> bool:
    """Return whether the checkout is complete and of this pin; local edits do not count."""
    return stamp.read(pin.checkout / _STAMP).get("pin") == _identify(pin, source)


def why_stale(pin: Pin) -> str | None:
    """Return why the source must be downloaded; None if the checkout is of this pin, from either source."""
    if is_up_to_date(pin, "registry") or is_up_to_date(pin, "git"):
        return None
    return "its checkout is of another pin" if pin.checkout.exists() else "its checkout is missing"


def refuse_to_lose_edits(pin: Pin) -> None:
    """Check that the checkout can be replaced.

    Raises:
        StepError: It has local edits.
    """
    if not pin.checkout.exists():
        return
    before: dict[str, str] = stamp.read(pin.checkout / _STAMP).get("files", {})
    now = _digest_files(pin.checkout)
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise StepError(
            f"{pin.checkout} has edits ({changed[0]}{more}) that {pin.name} {pin.version} would replace; "
            "move it away, then sync again"
        )


def write_stamp(pin: Pin, source: Source, tree: Path) -> None:
    """Record the pin and the files of a new tree. The last step before it is moved to its place."""
    (tree / _STAMP).write_text(json.dumps({"pin": _identify(pin, source), "files": _digest_files(tree)}), "utf-8")


def _identify(pin: Pin, source: Source) -> str:
    return f"{pin.repository} {pin.tag}" if source == "git" else f"{pin.name} {pin.version} {pin.sha256}"


def _digest_files(tree: Path) -> dict[str, str]:
    found = {}
    for folder, folders, files in os.walk(tree):
        # Files that installing and running create are not edits.
        folders[:] = [f for f in folders if f not in _NOT_SOURCE and not f.endswith(".egg-info")]
        for name in files:
            path = Path(folder, name)
            if name != _STAMP and path.is_file():
                found[str(path.relative_to(tree))] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return found
