"""YAML text -> nodes. The only place that reads YAML."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipelines.recipe.nodes import Node, Origin
from pipelines.recipe.problems import Problem, RecipeError

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_TAG = "tag:yaml.org,2002:"
_KNOWN = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp"}
_MARKS = {"!remove": "remove", "!replace": "replace"}
# Anchors can blow a small file up without end; no recipe comes near this.
_MOST_NODES = 20_000

OriginAt = Callable[[int], Origin]
"""Makes the origin of a value from its line, counted from 1."""


def read(text: str, at: OriginAt) -> Node:
    """Reads one YAML 1.2 document; an empty one is an empty mapping.

    Raises:
        RecipeError: the text is not YAML, says a key twice, or uses a tag other than !remove and !replace.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = _yaml()
    try:
        composed = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(f"{error.context or ''} {error.problem or ''}".split())
        raise _error(at((mark.line if mark else 0) + 1), f"not valid YAML: {what}") from None
    except YAMLError as error:
        raise _error(at(1), f"not valid YAML: {' '.join(str(error).split())}") from None
    if composed is None:
        return Node({}, at(1))
    return _Builder(yaml, at).build(composed, at(composed.start_mark.line + 1), ())


def read_scalar(text: str, origin: Origin) -> Node:
    """Reads a value as it would be read in a file; its text is kept, since it may stand for text."""
    node = read(text, lambda _: origin) if text.strip() else Node(None, origin)
    return Node(node.value, origin, node.mark, text)


def _yaml() -> YAML:
    from ruamel.yaml import YAML

    # Pure: the C parser knows YAML 1.1 only, where 1e-6 is text and `on` a truth value.
    return YAML(typ="safe", pure=True)


def _error(origin: Origin, message: str, key: str = "") -> RecipeError:
    return RecipeError([Problem(origin.text, key, message)])


class _Builder:
    """Turns ruamel's node graph into our tree."""

    def __init__(self, yaml: YAML, at: OriginAt) -> None:
        self._yaml = yaml
        self._at = at
        self._count = 0
        self._open: list[int] = []

    def build(self, node: Any, origin: Origin, path: tuple[str, ...]) -> Node:
        self._count += 1
        if id(node) in self._open:
            raise _error(origin, f"the anchor &{node.anchor} contains itself", ".".join(path))
        if self._count > _MOST_NODES:
            raise _error(origin, f"anchors unfold to more than {_MOST_NODES} values", ".".join(path))
        tag = str(node.tag.value if hasattr(node.tag, "value") else node.tag) if node.tag is not None else ""
        mark = _MARKS.get(tag)
        if mark is None and tag.removeprefix(_TAG) not in _KNOWN:
            raise _error(origin, f"unknown tag {tag}; the only ones are !remove and !replace", ".".join(path))
        kind = type(node).__name__
        if kind == "ScalarNode":
            return Node(None if mark else self._scalar(node, tag), origin, mark)
        self._open.append(id(node))
        try:
            if kind == "MappingNode":
                return Node(self._mapping(node, path), origin, mark)
            items = [
                self.build(item, self._at(item.start_mark.line + 1), (*path, str(index)))
                for index, item in enumerate(node.value)
            ]
            return Node(items, origin, mark)
        finally:
            self._open.pop()

    def _mapping(self, node: Any, path: tuple[str, ...]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag is not None and str(key_node.tag).endswith(":merge"):
                for other in value_node.value if type(value_node).__name__ == "SequenceNode" else [value_node]:
                    built = self.build(other, self._at(line), (*path, "<<"))
                    if not isinstance(built.value, dict):
                        raise _error(self._at(line), "<< takes a mapping or a list of mappings", ".".join(path))
                    merged = {**built.value, **merged}
                continue
            if type(key_node).__name__ != "ScalarNode":
                raise _error(self._at(line), "a key is one word, not a list or a mapping", ".".join(path))
            key = str(key_node.value)
            if key in lines:
                raise _error(self._at(line), f"said twice; first in line {lines[key]}", ".".join((*path, key)))
            lines[key] = line
            entries[key] = self.build(value_node, self._at(line), (*path, key))
        return {**merged, **entries}

    def _scalar(self, node: Any, tag: str) -> str | int | float | bool | None:
        if tag.removeprefix(_TAG) not in ("int", "float", "bool", "null"):
            # Dates have no use here; what is written is what is meant.
            return str(node.value)
        value = self._yaml.constructor.construct_object(node)
        if isinstance(value, float) and not math.isfinite(value):
            return str(node.value)
        return value  # type: ignore[no-any-return]
