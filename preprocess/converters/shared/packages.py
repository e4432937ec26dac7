"""What programs and tests import, and whether the sandbox has it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable

_INSTALLED = frozenset({*sys.stdlib_module_names, "sortedcontainers", "pytest", "solution"})
"""What programs and tests can import in the local sandbox."""


def find_imports(tree: ast.AST) -> set[str]:
    """Return the top-level names of all modules that are imported anywhere."""
    names = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names if name}


def find_missing_packages(modules: Iterable[str], packages: Iterable[str]) -> str:
    """Return which modules neither the local sandbox has nor an option names, as text; empty if none is missing."""
    return ", ".join(sorted(set(modules) - _INSTALLED - set(packages)))
