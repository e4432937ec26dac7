"""A recipe's text as a tree in which every value knows where it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Step: TypeAlias = str | int
Loc: TypeAlias = tuple[Step, ...]
"""A place in the tree: keys of mappings and indexes of lists."""


@dataclass(frozen=True)
class Origin:
    """Where a value was written."""

    folder: Path
    """What its relative paths are relative to: the recipe file's folder; for --set the current one."""
    text: str
    """What a person is shown: `recipes/x.yaml:12` or `--set stages.sft.learning_rate`."""
    order: tuple[int, int]
    """Sorts problems: the file's place among the files read, and the line."""


@dataclass(frozen=True)
class Node:
    """A value and its origin."""

    value: Scalar | Mapping[str, Node] | list[Node]
    origin: Origin
    mark: str | None = None
    """`remove` or `replace`: what to do with the value that an extended recipe gives."""
    raw: str | None = None
    """The text that was read as a scalar where a person could not quote it (--set, environment variables)."""

    @property
    def children(self) -> Mapping[str, Node]:
        """A mapping's entries; nothing for anything else."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> list[Node]:
        """A list's items; nothing for anything else."""
        return self.value if isinstance(self.value, list) else []

    def child(self, step: Step) -> Node | None:
        """The entry or item at `step`; a list's item also by its `name`."""
        if isinstance(self.value, Mapping):
            return self.value.get(str(step))
        if isinstance(step, int):
            return self.items[step] if -1 < step < len(self.items) else None
        return next((item for item in self.items if name_of(item) == step), None)

    def nearest(self, loc: Loc) -> Node:
        """The node at `loc`, or the innermost one around it that exists."""
        node = self
        for step in loc:
            found = node.child(step)
            if found is None:
                break
            node = found
        return node

    def plain(self) -> Any:
        """The tree as dicts, lists and scalars."""
        if isinstance(self.value, Mapping):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def walk(self, loc: Loc = ()) -> Iterator[tuple[Loc, Node]]:
        """Every node with its place, parents first."""
        yield loc, self
        for key, child in self.children.items():
            yield from child.walk((*loc, key))
        for index, item in enumerate(self.items):
            yield from item.walk((*loc, index))

    def with_value(self, value: Scalar | Mapping[str, Node] | list[Node]) -> Node:
        """The same place, another value."""
        return replace(self, value=value)


def name_of(node: Node) -> str | None:
    """The `name` entry of a mapping, when it is text."""
    name = node.children.get("name")
    return name.value if name is not None and isinstance(name.value, str) else None


def key_path(root: Node, loc: Loc) -> str:
    """`stages.sft.learning_rate`: a place as a person writes it, stages by their names."""
    text = ""
    node: Node | None = root
    for step in loc:
        node = node.child(step) if node is not None else None
        name = name_of(node) if node is not None and isinstance(step, int) else None
        if name is not None:
            text += f".{name}"
        else:
            text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
