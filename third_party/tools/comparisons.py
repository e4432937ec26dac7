"""Find keys whose upstream compares them with literals, to see that each has limits."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from limits import texts, tree

_LIMITS = {"enum", "cases"}


def find_unlimited(keys: Mapping[str, Mapping[str, Any]], files: Iterable[Path]) -> dict[str, set[str]]:
    """Return the last names of text keys without limits -> the literals that a setting of this name is compared with.

    A setting is an attribute or an item of something called config, args or arguments, such as `self.config.mode`.
    """
    names = {key.rpartition(".")[2] for key, entry in keys.items() if _is_text(entry) and not _LIMITS & entry.keys()}
    limited = {key.rpartition(".")[2] for key, entry in keys.items() if _LIMITS & entry.keys()}
    found: dict[str, set[str]] = {}
    for file in files:
        for name, literals in _comparisons(file):
            if name in names - limited:
                found.setdefault(name, set()).update(literals)
    return found


def _is_text(entry: Mapping[str, Any]) -> bool:
    types = entry.get("type", "string")
    return types == "string" or "string" in types


@cache
def _comparisons(file: Path) -> list[tuple[str, list[str]]]:
    found = []
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            for one, other in ((node.left, node.comparators[0]), (node.comparators[0], node.left)):
                literals = [each for each in texts(other) if isinstance(each, str)]
                if literals and (name := _setting(one)):
                    found.append((name, literals))
    return found


def _setting(node: ast.expr) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        owner, name = node.func.value, ast.unparse(node.args[0]).strip("'\"")
    elif isinstance(node, ast.Attribute):
        owner, name = node.value, node.attr
    else:
        return None
    words = ast.unparse(owner).replace("_", ".").lower().split(".")
    return name if {"config", "conf", "args", "arguments", "self"} & set(words) else None
