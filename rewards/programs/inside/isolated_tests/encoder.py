"""Values into messages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rewards.programs.inside.isolated_tests.built_ins import keep_built_ins
from rewards.programs.inside.isolated_tests.kinds import ATOMS, NODES, TYPES, VALUES, find_attributes

if TYPE_CHECKING:
    from rewards.programs.inside.isolated_tests.peer import Peer

keep_built_ins(globals())


class Encoder:
    """Values as JSON: atoms as they are, containers as numbered flat nodes, so that depth, sharing and cycles are no matter."""

    def __init__(self, peer: Peer, originals: list[Any] | None = None) -> None:
        self.peer = peer
        self.nodes: list[Any] = []
        self.objects: list[Any] = []
        self._pending: list[int] = []
        self._memo = {id(each): ["g", number] for number, each in enumerate(originals or ()) if type(each) not in ATOMS}

    def item(self, value: Any) -> Any:
        kind = type(value)
        if kind in ATOMS:
            if kind is int and not -(1 << 64) < value < 1 << 64:
                return ["i", hex(value)]
            if kind is float and not math.isfinite(value):
                return ["f", repr(value)]
            return value
        known = self._memo.get(id(value))
        if known is not None:
            return known
        if kind in NODES or kind in self.peer.classes:
            number = len(self.nodes)
            self._memo[id(value)] = ["r", number]
            self.objects.append(value)
            self.nodes.append(None)
            self._pending.append(number)
            return ["r", number]
        if kind is bytes:
            return ["b", value.decode("latin-1")]
        if kind is complex:
            return ["c", self.item(value.real), self.item(value.imag)]
        if kind in VALUES and getattr(value, "tzinfo", None) is None:
            return ["v", kind.__name__, *map(self.item, VALUES[kind](value))]
        return self.peer.export(value)

    def node(self, value: Any) -> list[Any]:
        """The contents of a container, one level."""
        kind = type(value)
        name = NODES.get(kind)
        if name is None:
            parts = [(attribute, self.item(content)) for attribute, content in find_attributes(value).items()]
            return ["inst", self.peer.classes[kind], *(each for part in parts for each in part)]
        if name in ("list", "tuple", "set", "fset"):
            return [name, *map(self.item, value)]
        node: list[Any] = [name]
        if name == "deque":
            return [name, value.maxlen, *map(self.item, value)]
        if name == "ddict":
            factory = value.default_factory
            node.append(factory.__name__ if factory in TYPES else None)
        for key, content in value.items():
            node += (self.item(key), self.item(content))
        return node

    def finish(self) -> list[Any]:
        """All nodes."""
        while self._pending:
            number = self._pending.pop()
            self.nodes[number] = self.node(self.objects[number])
        return self.nodes

    def add(self, node: list[Any]) -> int:
        """Takes one more node; its number."""
        self.nodes.append(node)
        self.objects.append(None)
        return len(self.nodes) - 1
