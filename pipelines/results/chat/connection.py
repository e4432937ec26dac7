"""Start the server of a chat under the supervisor, and exchange requests and events with it over a socket."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from pipelines.errors import PipelineError, StepError
from pipelines.results.chat.spec import FILE, SOCKET, Ask, ChatSpec, Done, Event, Failed, Message, Ready, Request, Stop
from pipelines.run.command import run_logged

_POLL_SECONDS = 0.2
_SOCKET_CHARACTERS = 100
"""A Unix socket's path may have 107."""


class _ClosedError(Exception):
    """The chat has ended."""


class Connection:
    """A server and the socket to it; a context manager that ends the server.

    Args:
        spec: What is served.
        command: The server's command before the path of the spec; default: vLLM in verl's environment.
    """

    def __init__(self, spec: ChatSpec, command: Sequence[str] = ()) -> None:
        self._spec = spec
        self._command = command or (spec.generation.python, "-m", "pipelines.results.chat.server")
        self._closing = threading.Event()
        self._error: BaseException | None = None
        self._buffer = b""
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="plchat-"))
        if len(str(self._folder / SOCKET)) > _SOCKET_CHARACTERS:
            self._folder.rmdir()
            self._folder = Path(tempfile.mkdtemp(prefix="plchat-", dir="/tmp"))
        (self._folder / FILE).write_bytes(msgspec.json.encode(self._spec))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(_POLL_SECONDS)
        self._listener.bind(str(self._folder / SOCKET))
        self._listener.listen(1)
        # A daemon: if this process ends by an error, the supervisor ends the server.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for each in (self._socket, self._listener):
            if each is not None:
                each.close()
        self._thread.join()
        if not isinstance(self._error, StepError):  # its message names the log
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        """Run the server until it ends or the chat is closed."""
        try:
            argv = [*self._command, str(self._folder / FILE)]
            run_logged(argv, self._spec.generation.variables, self._folder, self._folder, "the model's process", self._poll)
        except _ClosedError:
            pass
        except BaseException as error:
            if not self._closing.is_set():  # after that, the server fails because its socket is closed
                self._error = error

    def _poll(self) -> None:
        if self._closing.is_set():
            raise _ClosedError

    def wait_until_ready(self) -> Ready:
        """Wait until the model is loaded.

        Raises:
            InputError: The model has no chat template.
            StepError: The server ended.
        """
        while self._socket is None:
            try:
                self._socket, _ = self._listener.accept()
                self._socket.settimeout(_POLL_SECONDS)
            except TimeoutError:
                self._check_alive()
        event = self._read()
        assert isinstance(event, Ready)
        return event

    def ask(self, messages: Sequence[Message]) -> Iterator[Event]:
        """Yield the events of an answer; the last is `Done` or `Failed`. Interrupted, it can be called on with `events`."""
        self._send(Ask(tuple(messages)))
        return self.events()

    def events(self) -> Iterator[Event]:
        """Yield the further events of the answer."""
        while True:
            event = self._read()
            yield event
            if isinstance(event, Done | Failed):
                return

    def stop(self) -> None:
        """Ask the server to stop the answer; its last event follows."""
        self._send(Stop())

    def _send(self, request: Request) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(msgspec.json.encode(request) + b"\n")
        except OSError:
            self._fail()

    def _read(self) -> Event:
        assert self._socket is not None
        while b"\n" not in self._buffer:
            try:
                received = self._socket.recv(1 << 16)
            except TimeoutError:
                self._check_alive()
                continue
            except OSError:
                received = b""
            if not received:
                self._fail()
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        event: Event = msgspec.json.decode(line, type=Event)
        return event

    def _check_alive(self) -> None:
        if not self._thread.is_alive():
            self._fail()

    def _fail(self) -> None:
        """Raise why the server ended."""
        self._thread.join()
        if isinstance(self._error, PipelineError):
            raise self._error
        raise StepError("the model's process has ended") from self._error
