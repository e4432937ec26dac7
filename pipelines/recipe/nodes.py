"""A recipe as a tree whose values record where they were written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Step: TypeAlias = str | int
Loc: TypeAlias = tuple[Step, ...]
"""A location in the tree: keys of mappings and indexes of lists."""


@dataclass(frozen=True)
class Origin:
    """The place where a value was written."""

    folder: Path
    """The base of relative paths in the value: the recipe file's folder, or the current folder for --set."""
    text: str
    """The place in error messages: `recipes/x.yaml:12` or `--set stages.sft.learning_rate`."""
    order: tuple[int, int]
    """The sort key of problems: number of the file in reading order, and line."""


@dataclass(frozen=True)
class Node:
    """A value and its origin."""

    value: Scalar | Mapping[str, Node] | list[Node]
    origin: Origin
    mark: str | None = None
    """`remove` or `replace`: how the value changes that of an extended recipe."""
    raw: str | None = None
    """The text of a scalar from --set or an environment variable, where it could not be quoted."""
    empty: str | None = None
    """The environment variable without a value that it consists of."""

    @property
    def children(self) -> Mapping[str, Node]:
        """The entries of a mapping; empty for other values."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> list[Node]:
        """The items of a list; empty for other values."""
        return self.value if isinstance(self.value, list) else []

    @property
    def stages(self) -> list[Node]:
        """The items of the list `stages`."""
        return self.children["stages"].items if "stages" in self.children else []

    @property
    def name(self) -> str | None:
        """The entry `name`, if it is text."""
        return self.text("name")

    def text(self, key: str) -> str | None:
        """Return an entry of a mapping if it is text."""
        child = self.children.get(key)
        return child.value if child is not None and isinstance(child.value, str) else None

    def child(self, step: Step) -> Node | None:
        """Return an entry of a mapping, or an item of a list by its index or `name`."""
        if isinstance(self.value, Mapping):
            return self.value.get(str(step))
        if isinstance(step, int):
            return self.items[step] if -1 < step < len(self.items) else None
        return next((item for item in self.items if item.name == step), None)

    def nearest(self, loc: Loc) -> Node:
        """Return the node at a location, or the innermost existing node around it."""
        node = self
        for step in loc:
            found = node.child(step)
            if found is None:
                break
            node = found
        return node

    def plain(self) -> Any:
        """Return the tree as dicts, lists and scalars."""
        if isinstance(self.value, Mapping):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def walk(self, loc: Loc = ()) -> Iterator[tuple[Loc, Node]]:
        """Iterate over all nodes with their locations, parents first."""
        yield loc, self
        for key, child in self.children.items():
            yield from child.walk((*loc, key))
        for index, item in enumerate(self.items):
            yield from item.walk((*loc, index))

    def replace(self, changed: Mapping[Loc, Node], loc: Loc = ()) -> Node:
        """Return the tree with the nodes at some locations replaced."""
        if loc in changed:
            return changed[loc]
        if isinstance(self.value, Mapping):
            return self.with_value({key: child.replace(changed, (*loc, key)) for key, child in self.value.items()})
        return self.with_value([item.replace(changed, (*loc, i)) for i, item in enumerate(self.items)]) if self.items else self

    def with_value(self, value: Scalar | Mapping[str, Node] | list[Node]) -> Node:
        """Return a node with the same origin and another value."""
        return replace(self, value=value)


def key_path(root: Node, loc: Loc) -> str:
    """Return a location as the user writes it, stages by name: `stages.sft.learning_rate`."""
    text = ""
    node: Node | None = root
    for step in loc:
        node = node.child(step) if node is not None else None
        if isinstance(step, int):
            text += f".{node.name}" if node is not None and node.name is not None else f"[{step}]"
        else:
            text += f".{step}"
    return text.removeprefix(".")
