"""One execution: a program is forked, watched, ended, and told of."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING

from rewards.sandbox.local.inside import child, messages
from rewards.sandbox.local.inside.limits import Usage

if TYPE_CHECKING:
    from rewards.sandbox.local.inside.request import Request
    from rewards.sandbox.local.inside.worker import Worker

_TICK = 0.05
"""Seconds between two looks at what a program uses."""
_QUIET_MS = 5
"""Milliseconds in which a program that floods its output may wait to be read."""
_CHUNK = 1 << 16
_NEAR = 0.9
"""A process that was killed this near to its memory limit was killed for memory."""


class ClientGoneError(Exception):
    """Nobody waits for the result."""


def run(worker: Worker, request: Request, code: bytes, stdin: int, connection: socket.socket) -> bytes:
    """Runs one program to its end, and all of its processes' end; returns the packed answer.

    Written flat, and with as few objects as can be: after a fork every page that is written to, if only to count a
    reference, is copied, here as in the program.
    """
    output, output_end = os.pipe2(os.O_CLOEXEC)
    error, error_end = os.pipe2(os.O_CLOEXEC)
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child.become_program(worker, request, code, (stdin if stdin >= 0 else worker.nothing, output_end, error_end))
    if stdin >= 0:
        os.close(stdin)
    os.close(output_end)
    os.close(error_end)
    done = os.pidfd_open(pid)
    worker.poll.register(done, select.POLLIN)
    # Most programs end soon and write little: what they wrote lies in the pipes until then.
    events = worker.poll.poll(_QUIET_MS)
    worker.poll.unregister(done)
    ended_by, outputs = None, (Output(output, request.output_bytes), Output(error, request.output_bytes))
    if len(events) != 1 or events[0][0] != done:
        ended_by = Watch(outputs, connection, request).wait(done, Usage(worker.proc, pid), begun)
    status, usage = worker.end(pid, by_force=ended_by is not None)
    os.close(done)
    for each in outputs:
        each.take_rest()
    cpu = usage.ru_utime + usage.ru_stime
    exit_code = os.waitstatus_to_exitcode(status)
    verdict = ended_by or _judge(exit_code, cpu, usage.ru_maxrss << 10, outputs, request)
    # What wrote more than it may was ended by the sandbox, even where it was quick enough to end by itself.
    told_status = None if ended_by or verdict == "output" else exit_code
    seconds = time.monotonic() - begun
    return messages.pack_execution(verdict, told_status, seconds, cpu, outputs[0].told(), outputs[1].told())


class Output:
    """What a program writes to a pipe, up to a limit."""

    __slots__ = ("_limit", "data", "reading")

    def __init__(self, reading: int, limit: int) -> None:
        self.reading = reading
        self.data = b""
        self._limit = limit

    def take(self) -> bool:
        """Reads a piece, waiting for one; False at the end, which comes when no process has the other side."""
        chunk = os.read(self.reading, _CHUNK)
        if len(self.data) <= self._limit:
            self.data += chunk
        return bool(chunk)

    def take_rest(self) -> None:
        """Reads to the end, and closes it."""
        while self.take() and not self.too_long:
            pass
        os.close(self.reading)

    def take_ready(self) -> None:
        """Reads what is there, and closes it: processes live on that could write more."""
        os.set_blocking(self.reading, False)
        with contextlib.suppress(BlockingIOError):
            while self.take() and not self.too_long:
                pass
        os.close(self.reading)

    @property
    def too_long(self) -> bool:
        """Whether it is over the limit."""
        return len(self.data) > self._limit

    def told(self) -> bytes:
        """What may be told of it."""
        return self.data if len(self.data) <= self._limit else self.data[: self._limit]


class Watch:
    """Waits for the end of a program, taking its output and looking at what it uses."""

    __slots__ = ("_connection", "_outputs", "_poll", "_request")

    def __init__(self, outputs: tuple[Output, Output], connection: socket.socket, request: Request) -> None:
        self._connection, self._request, self._outputs = connection, request, outputs
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)

    def wait(self, done: int, usage: Usage, begun: float) -> str | None:
        """Returns when `done` is readable, or with the limit that was passed before.

        Raises:
            ClientGoneError: the other side of the connection has closed.
        """
        outputs = {output.reading: output for output in self._outputs}
        for number in (done, *outputs):
            self._poll.register(number, select.POLLIN)
        deadline, next_look = begun + self._request.wall_seconds, begun + _TICK
        events: list[tuple[int, int]] = []
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
