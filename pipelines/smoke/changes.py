"""Change values of a recipe, and list what was changed and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.recipe.nodes import Loc, Node, Origin, key_path

REMOVED = object()
"""Instead of a value: remove the key, so that its default applies."""

_ORIGIN = Origin(Path("/"), "--smoke", (2_000_000, 0))
_LONGEST = 60


@dataclass(frozen=True)
class Change:
    """One changed value."""

    key: str
    before: str
    """Empty if the recipe does not set the key."""
    after: str
    why: str = ""


class Changes:
    """A recipe's tree, and the changes made to it."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.made: list[Change] = []

    def set(self, loc: Loc, value: Any, why: str = "", shown: tuple[str, str] | None = None) -> None:
        """Set a value, and list the change if the value is new.

        Args:
            value: plain data, or REMOVED.
            shown: how to list the old and the new value. Default: as they are written.
        """
        found = _find(self.root, loc)
        if value is REMOVED if found is None else found.plain() == value:
            return
        before = "" if found is None else _show(found.plain())
        shown = shown or (before, "removed" if value is REMOVED else _show(value))
        self.made.append(Change(key_path(self.root, loc), *shown, why))
        self.root = _set(self.root, loc, value)

    def replace_key(self, old: Loc, new: Loc, value: Any) -> None:
        """Replace a key, if it is set, by another key with a value."""
        found = _find(self.root, old)
        if found is not None:
            self.made.append(Change(key_path(self.root, old), _show(found.plain()), f"{new[-1]} {_show(value)}"))
            self.root = _set(_set(self.root, old, REMOVED), new, value)

    def limit(self, loc: Loc, value: int | None, maximum: int) -> None:
        """Lower a value that exceeds a maximum."""
        if value is not None and value > maximum:
            self.set(loc, maximum)


def _find(root: Node, loc: Loc) -> Node | None:
    node: Node | None = root
    for step in loc:
        node = node.child(step) if node is not None else None
    return node


def _show(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _set(node: Node, loc: Loc, value: Any) -> Node:
    step, rest = loc[0], loc[1:]
    if isinstance(node.value, list):
        assert isinstance(step, int)
        items = list(node.value)
        items[step] = _set(items[step], rest, value)
        return node.with_value(items)
    entries = dict(node.children)
    name = str(step)
    if rest:
        entries[name] = _set(entries.get(name) or Node({}, _ORIGIN), rest, value)
        if value is REMOVED and not entries[name].value:
            del entries[name]  # an empty group
    elif value is REMOVED:
        entries.pop(name, None)
    else:
        entries[name] = _make_node(value)
    return node.with_value(entries)


def _make_node(value: Any) -> Node:
    if isinstance(value, Mapping):
        return Node({key: _make_node(each) for key, each in value.items()}, _ORIGIN)
    if isinstance(value, list | tuple):
        return Node([_make_node(each) for each in value], _ORIGIN)
    return Node(value, _ORIGIN)
