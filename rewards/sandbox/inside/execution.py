"""One execution: a program is forked, watched, ended, and told of."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rewards.sandbox.inside import child, messages
from rewards.sandbox.inside.limits import Usage

if TYPE_CHECKING:
    from rewards.sandbox.inside.request import Request
    from rewards.sandbox.inside.worker import Worker

_TICK = 0.05
"""Seconds between two looks at what a program uses."""
_QUIET_MS = 5
"""Milliseconds in which a program that floods its output may wait to be read."""
_CHUNK = 1 << 16
_NEAR = 0.9
"""A process that was killed this near to its memory limit was killed for memory."""


class ClientGoneError(Exception):
    """Nobody waits for the result."""


class Output:
    """What a program wrote to one descriptor, up to a limit."""

    __slots__ = ("_limit", "data", "reading", "writing")

    def __init__(self, limit: int) -> None:
        self.reading, self.writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.writing, True)
        self.data = b""
        self._limit = limit

    def take(self) -> bool:
        """Reads what is there; False at its end."""
        while True:
            try:
                chunk = os.read(self.reading, _CHUNK)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            if len(self.data) <= self._limit:
                self.data += chunk
            if self.too_long:
                return True

    @property
    def too_long(self) -> bool:
        """Whether it is over the limit."""
        return len(self.data) > self._limit

    def told(self) -> bytes:
        """What may be told of it."""
        return self.data if len(self.data) <= self._limit else self.data[: self._limit]


def run(worker: Worker, request: Request, code: bytes, stdin: int, connection: socket.socket) -> bytes:
    """Runs one program to its end, and all of its processes' end; returns the packed answer."""
    # Worked out before the fork, after which every page that is written to is copied, here too.
    outputs = (Output(request.output_bytes), Output(request.output_bytes))
    streams = (stdin, outputs[0].writing, outputs[1].writing)
    watch = Watch(outputs, connection, request)
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child.become_program(worker, request, code, streams)
    for descriptor in streams:
        os.close(descriptor)
    watched = os.pidfd_open(pid)
    ended_by = watch.wait(watched, lambda: Usage(worker.proc, pid))
    status, usage = worker.end(pid)
    for output in outputs:
        output.take()
        os.close(output.reading)
    os.close(watched)
    cpu = usage.ru_utime + usage.ru_stime
    exit_code = os.waitstatus_to_exitcode(status)
    verdict = ended_by or _judge(exit_code, cpu, usage.ru_maxrss << 10, outputs, request)
    # What wrote more than it may was ended by the sandbox, even where it was quick enough to end by itself.
    told_status = None if ended_by or verdict == "output" else exit_code
    seconds = time.monotonic() - begun
    return messages.pack_execution(verdict, told_status, seconds, cpu, outputs[0].told(), outputs[1].told())


class Watch:
    """Waits for the end of a program, taking its output and looking at what it uses."""

    __slots__ = ("_connection", "_outputs", "_poll", "_request")

    def __init__(self, outputs: tuple[Output, Output], connection: socket.socket, request: Request) -> None:
        self._connection, self._request, self._outputs = connection, request, outputs
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)

    def wait(self, done: int, make_usage: Callable[[], Usage]) -> str | None:
        """Returns when `done` is readable, or with the limit that was passed before.

        Raises:
            ClientGoneError: the other side of the connection has closed.
        """
        self._poll.register(done, select.POLLIN)
        now = time.monotonic()
        deadline = now + self._request.wall_seconds
        # Most programs end soon and write little: what they wrote lies in the pipes until then.
        events = self._poll.poll(_QUIET_MS)
        if any(number == done for number, _ in events):
            return None
        outputs = {output.reading: output for output in self._outputs}
        for number in outputs:
            self._poll.register(number, select.POLLIN)
        usage, next_look = make_usage(), now + _TICK
        while True:
            for number, event in events:
                if number == done:
                    return None
                if number not in outputs:
                    if not self._connection.recv(1, socket.MSG_PEEK):
                        raise ClientGoneError
                elif not event & select.POLLIN or not outputs[number].take():
                    self._poll.unregister(number)
                elif outputs[number].too_long:
                    return "output"
            now = time.monotonic()
            if now >= deadline:
                return "timeout"
            if now >= next_look:
                next_look = now + _TICK
                if (passed := self._look(usage)) is not None:
                    return passed
            events = self._poll.poll(max(0.0, min(next_look, deadline) - now) * 1000 + 1)

    def _look(self, usage: Usage) -> str | None:
        cpu, memory = usage.measure()
        if cpu > self._request.cpu_seconds:
            return "timeout"
        return "memory" if memory > self._request.memory_bytes else None


def _judge(code: int, cpu: float, memory: int, outputs: tuple[Output, Output], request: Request) -> str:
    if any(output.too_long for output in outputs):
        return "output"
    if code in (-signal.SIGXCPU, -signal.SIGKILL) and cpu >= request.cpu_seconds:
        return "timeout"
    if code == 0:
        return "ok"
    last = outputs[1].data.rstrip().rpartition(b"\n")[2]
    if last.startswith(b"MemoryError") or (code == -signal.SIGKILL and memory >= _NEAR * request.memory_bytes):
        return "memory"
    return "killed" if code < 0 else "error"
