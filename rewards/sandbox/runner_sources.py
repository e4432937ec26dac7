"""Read a runner's sources, to send them to where it runs."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

from rewards.sandbox.base import SandboxError


@functools.cache
def read_runner(name: str) -> dict[str, str]:
    """Return the sources of a runner by dotted name: one module, or every module of a package.

    The packages above it are included with empty sources.

    Raises:
        SandboxError: the module or package is not found.
    """
    try:
        spec = importlib.util.find_spec(name)
    except ImportError:  # of a parent package
        spec = None
    if spec is None or spec.origin is None or not spec.has_location:
        raise SandboxError(f"runner {name} not found")
    files = {name: Path(spec.origin)}
    if spec.submodule_search_locations is not None:
        folder = files[name].parent
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            files[".".join((name, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    parents = {name.rsplit(".", level)[0]: "" for level in range(1, name.count(".") + 1)}
    return parents | {each: path.read_text(encoding="utf-8") for each, path in files.items()}
