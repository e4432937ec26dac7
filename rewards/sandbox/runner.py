"""Where a runner's sources are found, to be sent to where it runs."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from rewards.sandbox.base import SandboxError


@functools.cache
def read_runner(name: str) -> Mapping[str, str]:
    """The sources of a runner by their dotted names: of one module, or of all that lie in a package.

    Raises:
        SandboxError: there is no module or package of that name.
    """
    try:
        found = importlib.util.find_spec(name)
    except ImportError:  # of a package in its name
        found = None
    if found is None or found.origin is None:
        raise SandboxError(f"there is no runner {name}")
    origin = Path(found.origin)
    if found.submodule_search_locations is None:
        return {name: origin.read_text(encoding="utf-8")}
    files = {_name(name, path.relative_to(origin.parent)): path for path in sorted(origin.parent.rglob("*.py"))}
    return {each: path.read_text(encoding="utf-8") for each, path in files.items()}


def _name(package: str, path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))
