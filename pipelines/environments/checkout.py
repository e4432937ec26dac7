"""The pinned checkout as it lies there: of which pin it is, and whether somebody has edited it."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pipelines.environments.pins import Pin
from pipelines.errors import StepError

Source = Literal["registry", "git"]
"""Where the source comes from: the package registry, by its hash, or git, by its tag."""

_STAMP = ".pipeline.json"
_NOT_SOURCE = {"__pycache__", ".git"}


def up_to_date(pin: Pin, source: Source) -> bool:
    """Whether the checkout is there, whole, and of this pin; local edits leave it so. Starts nothing."""
    return _stamp(pin.checkout).get("pin") == _identity(pin, source)


def differs(pin: Pin) -> str | None:
    """Why the source has to be fetched: None when the checkout is of this pin, from wherever it came."""
    if up_to_date(pin, "registry") or up_to_date(pin, "git"):
        return None
    return "its checkout is of another pin" if pin.checkout.exists() else "its checkout is gone"


def edits(pin: Pin) -> list[str]:
    """Files of the checkout that differ from what was unpacked."""
    was: dict[str, str] = _stamp(pin.checkout).get("files", {})
    now = _digests(pin.checkout)
    return sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))


def refuse_to_lose_edits(pin: Pin) -> None:
    """Raises StepError when the checkout has edits that replacing it would lose."""
    if not pin.checkout.exists():
        return
    changed = edits(pin)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise StepError(
            f"{pin.checkout} has edits ({changed[0]}{more}) that {pin.name} {pin.version} would replace; "
            "move it away, then sync again"
        )


def declare(pin: Pin, source: Source, tree: Path, commit: str | None) -> None:
    """Writes into a freshly unpacked tree what it is. The last act before it is moved to its place."""
    stamp = {"pin": _identity(pin, source), "commit": commit, "files": _digests(tree)}
    (tree / _STAMP).write_text(json.dumps(stamp), "utf-8")


def _identity(pin: Pin, source: Source) -> str:
    return f"{pin.repository} {pin.tag}" if source == "git" else f"{pin.name} {pin.version} {pin.sha256}"


def _stamp(checkout: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads((checkout / _STAMP).read_text("utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _digests(tree: Path) -> dict[str, str]:
    found = {}
    for folder, folders, files in os.walk(tree):
        # What installing and running leave in the tree is no edit.
        folders[:] = [f for f in folders if f not in _NOT_SOURCE and not f.endswith(".egg-info")]
        for name in files:
            path = Path(folder, name)
            if name != _STAMP and path.is_file():
                found[str(path.relative_to(tree))] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return found
