"""Imports for programs that use names of the standard library without importing them, as graders of contests allow."""

from __future__ import annotations

import ast
from collections import defaultdict

from rewards.parsing.programs import find_free_names
from rewards.programs.inside.calls.names import NAMES

_MODULES = ("collections", "heapq", "bisect", "itertools", "functools", "math", "operator", "string", "random", "re", "typing")


def add_imports(code: str) -> str:
    """Return a program after the imports that it lacks; unchanged if it lacks none, or does not parse."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
    names: dict[str, list[str]] = defaultdict(list)
    modules = []
    for name in sorted(find_free_names(code) & NAMES.keys()):
        module = next((each for each in _MODULES if name in _public(each)), None)
        if module is not None:
            names[module].append(name)
        elif name in _MODULES:
            modules.append(name)
    lines = [f"import {name}" for name in modules]
    lines += [f"from {module} import {', '.join(found)}" for module, found in names.items()]
    return "\n".join([*lines, *(("",) if lines else ()), code])


def _public(module: str) -> set[str]:
    found = NAMES[module]
    return set(getattr(found, "__all__", None) or (name for name in vars(found) if not name.startswith("_")))
