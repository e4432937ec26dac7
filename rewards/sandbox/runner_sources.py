"""Where a runner's sources are found, to be sent to where it runs."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

from rewards.sandbox.base import SandboxError


@functools.cache
def read_runner(name: str) -> dict[str, str]:
    """The sources of a runner by their dotted names: of one module, or of all that lie in a package.

    The packages above it are empty ones.

    Raises:
        SandboxError: there is no module or package of that name.
    """
    try:
        found = importlib.util.find_spec(name)
    except ImportError:  # of a package in its name
        found = None
    if found is None or found.origin is None or not found.has_location:
        raise SandboxError(f"there is no runner {name}")
    files = {name: Path(found.origin)}
    if found.submodule_search_locations is not None:
        folder = files[name].parent
        files = {_name(name, path.relative_to(folder)): path for path in sorted(folder.rglob("*.py"))}
    above = {name.rsplit(".", level)[0]: "" for level in range(1, name.count(".") + 1)}
    return above | {each: path.read_text(encoding="utf-8") for each, path in files.items()}


def _name(package: str, path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))
