"""Messages into values."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from rewards.programs.inside.isolated_tests.built_ins import keep_built_ins
from rewards.programs.inside.isolated_tests.kinds import KEYED, MAKE, MUTABLE, TYPES, VALUE_NAMES

if TYPE_CHECKING:
    from rewards.programs.inside.isolated_tests.peer import Peer

keep_built_ins(globals())


class Decoder:
    """What an Encoder made, as values."""

    def __init__(self, peer: Peer, nodes: list[Any], originals: list[Any] | None = None) -> None:
        self.peer = peer
        self.nodes = nodes
        self.originals = originals or []
        self.objects: list[Any] = [None] * len(nodes)
        self._done = [False] * len(nodes)
        for number, node in enumerate(nodes):
            if node[0] in MUTABLE:
                self.objects[number] = self._make(node)
                self._done[number] = True
        # What may be a key is whole before there are keys.
        for keyed in (False, True):
            for number, node in enumerate(nodes):
                if node[0] in MUTABLE and (node[0] in KEYED) is keyed:
                    self.fill(node, self.objects[number])
        for number in range(len(nodes)):
            self._get(number)

    def _make(self, node: list[Any]) -> Any:
        if node[0] == "inst":
            return object.__new__(self.peer.find_class(node[1]))
        if node[0] == "deque":
            return collections.deque(maxlen=node[1])
        if node[0] == "ddict":
            factories: dict[str, Any] = {kind.__name__: kind for kind in TYPES}
            return collections.defaultdict(factories.get(node[1]))
        return MAKE[node[0]]()

    def fill(self, node: list[Any], value: Any) -> None:
        """Makes a node the whole contents of a value of its kind."""
        kind = node[0]
        if kind == "inst":
            contents = {node[place]: self.item(node[place + 1]) for place in range(2, len(node), 2)}
            self.peer.set_attributes(value, contents)
        elif kind == "list":
            value[:] = [self.item(each) for each in node[1:]]
        elif kind == "deque":
            value.clear()
            value.extend(self.item(each) for each in node[2:])
        elif kind == "set":
            value.clear()
            value.update(self.item(each) for each in node[1:])
        else:
            first = 2 if kind == "ddict" else 1
            dict.clear(value)
            for place in range(first, len(node), 2):
                dict.__setitem__(value, self.item(node[place]), self.item(node[place + 1]))
            if kind == "odict":  # it keeps an order of its own
                pairs = list(dict.items(value))
                value.clear()
                for key, content in pairs:
                    value[key] = content

    def _get(self, number: int) -> Any:
        if not self._done[number]:
            node = self.nodes[number]
            self.objects[number] = MAKE[node[0]]([self.item(each) for each in node[1:]])
            self._done[number] = True
        return self.objects[number]

    def item(self, data: Any) -> Any:
        if type(data) is not list:
            return data
        tag = data[0]
        if tag == "r":
            return self._get(data[1])
        if tag == "g":
            return self.originals[data[1]]
        if tag == "i":
            return int(data[1], 16)
        if tag == "f":
            return float(data[1])
        if tag == "b":
            return data[1].encode("latin-1")
        if tag == "c":
            return complex(self.item(data[1]), self.item(data[2]))
        if tag == "v":
            return VALUE_NAMES[data[1]](*map(self.item, data[2:]))
        return self.peer.resolve(data, self)
