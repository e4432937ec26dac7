"""Reading YAML 1.2 text into nodes. All YAML that users write is read here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pipelines.recipe.nodes import Node, Origin, Scalar
from pipelines.recipe.problems import error_at

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {"str", "int", "float", "bool", "null", "timestamp"}
_KNOWN_TAGS = {"MappingNode": {"map"}, "SequenceNode": {"seq"}, "ScalarNode": _SCALAR_TAGS}
_MARKS = {"!remove": "remove", "!replace": "replace"}
# A recipe has hundreds of values. The limits are for wrong files, and for the memory that nested anchors can take.
_MAX_NODES = 20_000
_GREATEST = 2**63 - 1
_LONGEST = 100
"""Characters of a number."""

OriginAt = Callable[[int], Origin]
"""Makes the origin of a value from its line, counted from 1."""


def read(text: str, at: OriginAt) -> Node:
    """Read one YAML document; an empty document is an empty mapping.

    Raises:
        RecipeError: the text is not YAML, has a duplicate key, or a tag other than !remove and !replace.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    from pipelines.recipe.composing import LimitedComposer

    # The C parser supports YAML 1.1 only, where 1e-6 is text and `on` a boolean.
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = LimitedComposer
    try:
        composed = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(f"{error.context or ''} {error.problem or ''}".split())
        if (
            "scanning a tag" in reason
            and mark
            and mark.buffer
            and re.search(r"!(remove|replace)[]},]", mark.buffer[: mark.pointer + 1])
        ):
            reason += "; write a space after !remove and !replace"
        raise error_at(at((mark.line if mark else 0) + 1).text, "", f"not valid YAML: {reason}") from None
    except YAMLError as error:
        raise error_at(at(1).text, "", f"not valid YAML: {' '.join(str(error).split())}") from None
    if composed is None:
        return Node({}, at(1))
    return _Builder(yaml, at).build(composed, at(composed.start_mark.line + 1), ())


def read_scalar(text: str, origin: Origin) -> Node:
    """Read a value as in a file; the node keeps its text, in case text is required there."""
    node = read(text, lambda _: origin) if text.strip() else Node(None, origin)
    return Node(node.value, origin, node.mark, text)


class _Builder:
    """Converts ruamel's node graph."""

    def __init__(self, yaml: YAML, at: OriginAt) -> None:
        self._yaml = yaml
        self._at = at
        self._count = 0
        self._open: list[int] = []

    def build(self, node: Any, origin: Origin, path: tuple[str, ...]) -> Node:
        self._count += 1
        if id(node) in self._open:
            raise error_at(origin.text, ".".join(path), f"the anchor &{node.anchor} contains itself")
        if self._count > _MAX_NODES:
            raise error_at(origin.text, ".".join(path), f"anchors expand to more than {_MAX_NODES} values")
        tag = node.tag or ""
        mark, kind = _MARKS.get(tag), type(node).__name__
        if mark is None and tag.removeprefix(_TAG) not in _KNOWN_TAGS[kind]:
            raise error_at(origin.text, ".".join(path), f"unknown tag {tag} here; expected !remove or !replace")
        if kind == "ScalarNode":
            return Node(self._marked(node, mark, origin, path) if mark else self._scalar(node, tag, origin, path), origin, mark)
        self._open.append(id(node))
        try:
            if kind == "MappingNode":
                entries = self._mapping(node, path)
                if mark == "remove" and (more := [key for key in entries if key != "name"]):
                    message = f"!remove removes the whole value, found {more[0]!r} in it"
                    raise error_at(origin.text, ".".join(path), message)
                return Node(entries, origin, mark)
            items = ((item, self._at(item.start_mark.line + 1), str(index)) for index, item in enumerate(node.value))
            return Node([self.build(item, at, (*path, index)) for item, at, index in items], origin, mark)
        finally:
            self._open.pop()

    def _marked(self, node: Any, mark: str, origin: Origin, path: tuple[str, ...]) -> Scalar:
        """Return the value after a mark: none after !remove, one after !replace."""
        if mark == "remove" and (node.value or node.style):
            raise error_at(origin.text, ".".join(path), f"!remove stands alone, found {str(node.value)!r} after it")
        if mark == "replace" and not node.value and not node.style:
            raise error_at(origin.text, ".".join(path), "!replace: expected a value after it")
        if mark == "remove" or node.style:
            return None if mark == "remove" else str(node.value)
        value = read(node.value, lambda _: origin).value
        return node.value if isinstance(value, Mapping | list) else value

    def _mapping(self, node: Any, path: tuple[str, ...]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if (key_node.tag or "").endswith(":merge"):
                for other in value_node.value if type(value_node).__name__ == "SequenceNode" else [value_node]:
                    built = self.build(other, self._at(line), (*path, "<<"))
                    if not isinstance(built.value, dict):
                        raise error_at(self._at(line).text, ".".join(path), "<<: expected a mapping or a list of mappings")
                    merged = {**built.value, **merged}
                continue
            if type(key_node).__name__ != "ScalarNode":
                raise error_at(self._at(line).text, ".".join(path), "found a list or mapping as key, expected a word")
            key = str(key_node.value)
            if (key_node.tag or "") in _MARKS:
                message = f"write {key_node.tag} before the value: `{key}: {key_node.tag}`"
                raise error_at(self._at(line).text, ".".join((*path, key)), message)
            if key in lines:
                raise error_at(self._at(line).text, ".".join((*path, key)), f"duplicate key; first in line {lines[key]}")
            lines[key] = line
            entries[key] = self.build(value_node, self._at(line), (*path, key))
        return {**merged, **entries}

    def _scalar(self, node: Any, tag: str, origin: Origin, path: tuple[str, ...]) -> Scalar:
        kind = tag.removeprefix(_TAG)
        if kind not in ("int", "float", "bool", "null"):
            # Recipes have no dates: what looks like one is text.
            return str(node.value)
        try:
            value: Scalar = self._yaml.constructor.construct_object(node)
        except (ValueError, KeyError, OverflowError):
            value = None
        if value is None and kind != "null":
            found = str(node.value)
            message = (
                f"found {found!r} after !!{kind}" if len(found) < _LONGEST else f"found a number of {len(found)} characters"
            )
            raise error_at(origin.text, ".".join(path), message)
        if isinstance(value, int) and abs(value) > _GREATEST:
            raise error_at(origin.text, ".".join(path), f"found a number of {len(str(node.value))} digits, expected 64 bits")
        return str(node.value) if isinstance(value, float) and not math.isfinite(value) else value
