"""One end of the pipes between the two processes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests.codec import MUTABLE, Decoder, Encoder, Endpoint, list_contents

_LONGEST = 32 << 20
_READS = ("getattr", "getitem", "name", "member")
_MOST_SHARED, _MOST_CONTENTS, _MOST_IN_ANSWER = 500, 1_000, 200


class Gone(BaseException):
    """The candidate's process ended or sent an invalid message. A test cannot catch it as an Exception."""


class Unsupported(BaseException):
    """A test needs a feature that this runner does not have. A test cannot catch it as an Exception."""


def _to_original(data: Any) -> Any:
    """Return an item of a message as the answer to it has the same item."""
    if type(data) is not list:
        return data
    if data[0] == "r":
        return ["g", data[1]]
    if data[0] == "m":
        return ["k", data[1][0]]
    return ["k" if data[0] == "p" else data[0], data[1]] if data[0] in ("o", "k", "p") else data


Containers = dict[int, tuple[Any, list[Any]]]
"""Number of a container of the other end -> the container or its copy here, and its contents when both were the same."""


def _remember(containers: Containers, number: int, value: Any) -> None:
    containers.pop(number, None)
    contents = list_contents(value)
    if len(contents) <= _MOST_CONTENTS:
        containers[number] = (value, contents)
    while len(containers) > _MOST_SHARED:
        del containers[next(iter(containers))]


def _find_changed(containers: Containers, encoder: Encoder, tag: str) -> list[list[int]]:
    """Encode the containers that have changed: their numbers and nodes. Each refers to the others by their numbers."""
    encoder.finish()  # what a message says beside changes has no such references
    changed = []
    for number, (value, _) in containers.items():
        encoder.refer(value, [tag, number])
    for number, (value, before) in list(containers.items()):
        contents = list_contents(value)
        if len(contents) != len(before) or any(a is not b for a, b in zip(contents, before, strict=True)):
            containers[number] = (value, contents)
            changed.append([number, encoder.add(encoder.node(value))])
    return changed


class Peer(Endpoint):
    """One end of the pipes. Sends questions, and answers those that arrive while it waits."""

    shared_tag: str
    """How a message refers to a container of the other end."""

    def __init__(self, reader: int, writer: int, classes: dict[type, str]) -> None:
        super().__init__(classes)
        self._reader, self._writer = os.fdopen(reader, "rb"), writer
        self.gone = False
        self.asked = 0
        self._shared: Containers = {}
        """Copies of the other end's containers."""
        self._owned: Containers = {}
        """Containers that the other end has copies of."""

    def answer(self, question: str, args: list[Any]) -> Any: ...

    def describe(self, error: BaseException, encoder: Encoder) -> Any: ...

    def make_error(self, data: Any, decoder: Decoder) -> Any: ...

    # Containers of an object that the other end has read: what it changes in its copy is written back.
    def list_held(self, encoder: Encoder) -> dict[str, int]:
        raise NotImplementedError

    def find_held(self, number: int) -> Any: ...

    def number_nodes(self, encoder: Encoder, hold: Callable[[Any], int]) -> dict[str, int]:
        """Return the numbers of the containers in a small answer: node -> number."""
        if len(encoder.nodes) > _MOST_IN_ANSWER:
            return {}
        pairs = enumerate(zip(encoder.nodes, encoder.objects, strict=True))
        numbers = {str(number): hold(value) for number, (node, value) in pairs if node[0] in MUTABLE and value is not None}
        for node, held in numbers.items():
            _remember(self._owned, held, encoder.objects[int(node)])
        return numbers

    def _write(self, node: list[Any], held: int, decoder: Decoder) -> None:
        """Change a container here as the other end has changed its copy."""
        value = self.find_held(held)
        decoder.fill(node, value)
        if held in self._owned:
            self._owned[held] = (value, list_contents(value))

    def find_refreshed(self, encoder: Encoder) -> list[list[int]]:
        """Return the containers here that have changed since the other end read them."""
        return _find_changed(self._owned, encoder, "h")

    def find_known(self, shared: dict[str, int]) -> dict[int, Any]:
        return {int(node): self._shared[held][0] for node, held in shared.items() if held in self._shared}

    def share(self, shared: dict[str, int], objects: list[Any]) -> None:
        for node, held in shared.items():
            _remember(self._shared, held, objects[int(node)])

    def find_written(self, encoder: Encoder) -> list[list[int]]:
        """Return the copies here that have changed since they were read."""
        return _find_changed(self._shared, encoder, self.shared_tag)

    def take_printed(self) -> list[str]:
        return []

    def ask(self, question: str, *args: Any) -> Any:
        """Send a question and wait for the answer."""
        if self.gone:
            raise Gone
        self.asked += 1
        encoder = Encoder(self)
        request: dict[str, Any] = {"q": question, "x": [encoder.item(each) for each in args]}
        if written := self.find_written(encoder):
            request["w"] = written
        self._send({**request, "n": encoder.finish()})
        while True:
            message = self._receive()
            if "q" in message:
                self._reply(message)
                continue
            try:
                shared = message.get("h", {})
                decoder = Decoder(self, message["n"], encoder.objects, self.find_known(shared))
                for number, node in message.get("f", ()):
                    copied = self._shared[number][0]
                    decoder.fill(message["n"][node], copied)
                    self._shared[number] = (copied, list_contents(copied))
                self.share(shared, decoder.objects)
                for held, node in message.get("w", ()):
                    self._write(message["n"][node], held, decoder)
                for number, node in message.get("u", ()):
                    decoder.fill(message["n"][node], encoder.objects[number])
                error = self.make_error(message["e"], decoder) if "e" in message else None
                value = decoder.item(message.get("a"))
            except Exception as fault:
                raise self._lose() from fault
            for stream, text in zip((sys.stdout, sys.stderr), message.get("p") or (), strict=False):
                stream.write(str(text))
            if error is not None:
                raise error
            return value

    def serve(self) -> None:
        """Answer questions until the other process ends."""
        while True:
            self._reply(self._receive())

    def _reply(self, message: dict[str, Any]) -> None:
        decoder = Decoder(self, message["n"])
        written = {node: held for held, node in message.get("w", ())}
        for node, held in written.items():
            self._write(message["n"][node], held, decoder)
        args = [decoder.item(each) for each in message["x"]]
        encoder = Encoder(self, decoder.objects)
        reply: dict[str, Any] = {}
        try:
            reply["a"] = encoder.item(self.answer(message["q"], args))
            changed = self._find_changes(message["n"], decoder.objects, encoder, written)
        except (Gone, Unsupported):
            raise
        except BaseException as error:
            encoder = Encoder(self, decoder.objects)
            reply = {"e": self.describe(error, encoder)}
            changed = self._find_changes(message["n"], decoder.objects, encoder, written)
        if changed_here := self.find_written(encoder):
            reply["w"] = changed_here
        if refreshed := self.find_refreshed(encoder):
            reply["f"] = refreshed
        reply["n"] = encoder.finish()
        if message["q"] in _READS and (held := self.list_held(encoder)):
            reply["h"] = held
        if changed:
            reply["u"] = changed
        if printed := self.take_printed():
            reply["p"] = printed
        self._send(reply)

    def _find_changes(self, nodes: list[Any], objects: list[Any], encoder: Encoder, written: dict[int, int]) -> list[list[int]]:
        """Return which arguments the call has changed. Nodes in `written` are not arguments."""
        changed = []
        for number, (node, value) in enumerate(zip(nodes, objects, strict=True)):
            if node[0] not in MUTABLE or number in written:
                continue
            now = encoder.node(value)
            then = [_to_original(each) for each in node]
            if list(map(_to_original, now)) != then or list(map(type, now)) != list(map(type, then)):
                changed.append([number, encoder.add(now)])
        return changed

    def _send(self, message: dict[str, Any]) -> None:
        text = json.dumps(message).encode()
        data = b"%16d" % len(text) + text
        try:
            while data:
                data = data[os.write(self._writer, data) :]
        except OSError as error:
            raise self._lose() from error

    def _receive(self) -> dict[str, Any]:
        try:
            length = int(self._read(16))
            if not 0 <= length <= _LONGEST:
                raise ValueError(length)
            message = json.loads(self._read(length))
            if type(message) is not dict:
                raise ValueError(message)
        except (OSError, EOFError, ValueError, RecursionError, MemoryError) as error:
            raise self._lose() from error
        return message

    def _read(self, length: int) -> bytes:
        data = self._reader.read(length)
        if len(data) < length:
            raise EOFError
        return data

    def _lose(self) -> Gone:
        self.gone = True
        return Gone("the program has ended")
