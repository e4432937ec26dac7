"""Changes of a recipe: which value became which, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.recipe.nodes import Loc, Node, Origin, key_path

REMOVED = object()
"""In place of a value: the key is taken out, so that its default holds."""

_ORIGIN = Origin(Path("/"), "--smoke", (2_000_000, 0))
_LONGEST = 60


@dataclass(frozen=True)
class Change:
    """One value that a smoke has otherwise."""

    key: str
    before: str
    """Empty where the recipe does not say it."""
    after: str
    why: str = ""


class Changes:
    """A tree that is changed value by value."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.told: list[Change] = []

    def put(self, loc: Loc, value: Any, why: str = "", shown: tuple[str, str] | None = None) -> None:
        """Puts a value in its place, and tells of it where it is another.

        Args:
            value: plain data, or REMOVED.
            shown: how the old and the new value are told of; as they are written if not said.
        """
        found = _find(self.root, loc)
        before = None if found is None else found.plain()
        if (found is None and value is REMOVED) or (found is not None and before == value):
            return
        old = _show(before) if found is not None else ""
        key, told = key_path(self.root, loc), shown or (old, "left out" if value is REMOVED else _show(value))
        self.root = _put(self.root, loc, value)
        self.told.append(Change(key, *told, why))

    def swap(self, old: Loc, new: Loc, value: Any) -> None:
        """Puts a value in the place of another key's."""
        found = _find(self.root, old)
        if found is None:
            return
        name = f"{new[-1]} {_show(value)}"
        self.told.append(Change(key_path(self.root, old), _show(found.plain()), name))
        self.root = _put(_put(self.root, old, REMOVED), new, value)

    def at_most(self, loc: Loc, value: int, greatest: int) -> None:
        """Lowers a number that is greater."""
        if value > greatest:
            self.put(loc, greatest)


def _find(root: Node, loc: Loc) -> Node | None:
    node: Node | None = root
    for step in loc:
        node = node.child(step) if node is not None else None
    return node


def _show(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _put(node: Node, loc: Loc, value: Any) -> Node:
    step, rest = loc[0], loc[1:]
    if isinstance(node.value, list):
        assert isinstance(step, int)
        items = list(node.value)
        items[step] = _put(items[step], rest, value)
        return node.with_value(items)
    entries = dict(node.children)
    name = str(step)
    if rest:
        entries[name] = _put(entries.get(name) or Node({}, _ORIGIN), rest, value)
        if value is REMOVED and not entries[name].value:
            del entries[name]  # a group with nothing left in it
    elif value is REMOVED:
        entries.pop(name, None)
    else:
        entries[name] = make_node(value, _ORIGIN)
    return node.with_value(entries)


def make_node(value: Any, origin: Origin) -> Node:
    """Plain data as a tree."""
    if isinstance(value, Mapping):
        return Node({key: make_node(each, origin) for key, each in value.items()}, origin)
    if isinstance(value, list | tuple):
        return Node([make_node(each, origin) for each in value], origin)
    return Node(value, origin)
