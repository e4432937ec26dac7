"""One execution: fork a program, watch it, end it, and pack the answer."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from os import O_CLOEXEC, close, fchmod, pidfd_open, pipe2, readv, waitstatus_to_exitcode
from select import POLLIN
from time import monotonic

from rewards.sandbox.local.inside.buffers import KEPT, Buffer, find_last_line
from rewards.sandbox.local.inside.child import become_program
from rewards.sandbox.local.inside.limits import Request
from rewards.sandbox.local.inside.messages import send_execution
from rewards.sandbox.local.inside.usage import Usage
from rewards.sandbox.local.inside.worker import Worker

_TICK = 0.05
"""Seconds between two measurements of a program's usage."""
_QUIET_MS = 5
"""Milliseconds after which a running program's output is read."""
_CHUNK = 1 << 16
_MOST_CHUNKS = 1 << 8
"""What is read of a pipe after its program has ended: more than a pipe holds, while others could write to it for ever."""
_CPU_LIMIT, _KILLED = -int(signal.SIGXCPU), -int(signal.SIGKILL)
_MEMORY_ERROR = b"MemoryError"
_NEAR = 0.9
"""A process that was killed above this share of its memory limit was killed for memory."""


class ClientGoneError(Exception):
    """The client no longer waits for the result."""


class BrokenChildError(Exception):
    """The forked process failed before it was the program. Never the program's fault."""


def run(worker: Worker, request: Request, source: memoryview, stdin: int, connection: socket.socket) -> None:
    """Run the program with this source until it and all its processes have ended, and send the answer.

    Returns twice: here, and in the forked process, which then is the program (`driver.become`).

    This is flat and creates few objects: after a fork every page that is written to is copied, here as in the program, and
    counting a reference writes.
    """
    output, output_end = pipe2(O_CLOEXEC)
    error, error_end = pipe2(O_CLOEXEC)
    if worker.switches_user:
        # So that the program can open /dev/stdout.
        fchmod(output_end, 0o666)
        fchmod(error_end, 0o666)
    # Here and not in the program's process, in which looking up attributes would copy pages.
    rights, limits, start = worker.rights, request.prepared, worker.starts[request.uses]
    streams = stdin if stdin >= 0 else worker.nothing, output_end, error_end
    begun = monotonic()
    worker.seed()
    pid = worker.fork()
    if pid < 0:
        pid = os.fork()  # says why, if it fails again
    if pid == 0:
        become_program(rights, limits, start, source, streams)
        return
    worker.code.clear()
    if stdin >= 0:
        close(stdin)
    close(output_end)
    close(error_end)
    done = pidfd_open(pid)
    worker.register(done, POLLIN)
    # Most programs end soon and write little: until then their output stays in the pipes.
    events = worker.poll(_QUIET_MS)
    worker.unregister(done)
    limit, buffers = request.output_bytes, worker.buffers
    if len(events) == 1 and events[0][0] == done:
        ended_by = usage = None
        status, cpu, memory = worker.end(pid, by_force=False)
        length, error_length = drain(output, limit, buffers[0]), drain(error, sys.maxsize, buffers[1])
    else:
        outputs = Output(output, limit, buffers[0]), ErrorOutput(error, limit, buffers[1])
        usage = Usage(worker, pid)
        ended_by = watch(outputs, connection, request, done, usage, begun)
        status, cpu, memory = worker.end(pid, by_force=ended_by is not None)
        # With that of processes that no other one has waited for.
        cpu = max(cpu, usage.read_cpu() or 0.0)
        if ended_by is None and cpu > request.cpu_seconds:
            ended_by = "timeout"  # since the last look
        for each in outputs:
            each.finish(wait=True)
        length, error_length = outputs[0].length, outputs[1].length
    close(done)
    if not worker.has_started():
        raise BrokenChildError(f"a process ended before its program began, with wait status {status}")
    code = waitstatus_to_exitcode(status)
    shown: int | None = code
    verdict = "ok" if code == 0 else _judge(code, cpu, memory, buffers[1], error_length, request)
    if ended_by is not None or length > limit:
        # A program over its output limit has no status, even if it ended before the sandbox ended it.
        verdict, shown = ended_by or "output", None
    worker.clean()
    if usage is not None and usage.is_measured:
        worker.rest()
    seconds = monotonic() - begun
    written = buffers[0].view[: min(length, limit)] if length else b""
    complained = buffers[1].view[max(0, error_length - limit) : error_length] if error_length else b""
    send_execution(connection, verdict, shown, seconds, cpu, written, complained)
    if length > KEPT:
        buffers[0].clear()
    if error_length > KEPT:
        buffers[1].clear()


def drain(reading: int, limit: int, buffer: Buffer) -> int:
    """Read what is left in a pipe whose writers have ended, until it is over the limit, and close it; return the length."""
    length = 0
    while length <= limit:
        if length + _CHUNK > len(buffer.view):
            buffer.reserve(length + _CHUNK)
        part = buffer.view[length:] if length else buffer.view
        count = readv(reading, [part])
        length += count
        if count < len(part):  # the pipe is empty
            break
    close(reading)
    return length


class Output:
    """What a program writes to a pipe, up to a limit, in a buffer that no program is forked with."""

    __slots__ = ("_buffer", "_limit", "length", "reading")

    def __init__(self, reading: int, limit: int, buffer: Buffer) -> None:
        self.reading = reading
        self.length = 0
        self._limit, self._buffer = limit, buffer

    def take(self) -> bool:
        """Wait for a chunk and read it. Return False at the end, when no process has the other side."""
        self._buffer.reserve(self.length + _CHUNK)
        count = os.readv(self.reading, [self._buffer.view[self.length : self.length + _CHUNK]])
        self._add(count)
        return count > 0

    def _add(self, count: int) -> None:
        if self.length <= self._limit:
            self.length += count

    def finish(self, *, wait: bool) -> None:
        """Read to the end and close the pipe. Without `wait`, read only what is already written."""
        if not wait:
            os.set_blocking(self.reading, False)
        try:
            for _ in range(_MOST_CHUNKS):
                if not self.take() or self.too_long:
                    break
        except BlockingIOError:  # processes that could write more are still running
            pass
        os.close(self.reading)

    @property
    def too_long(self) -> bool:
        """Whether it is over the limit."""
        return self.length > self._limit

    def cut(self) -> memoryview:
        """Return the output up to the limit, valid until the buffer is used again."""
        return self._buffer.view[: min(self.length, self._limit)]


class ErrorOutput(Output):
    """Standard error: any length of it is read, and its end is kept, where a traceback is."""

    __slots__ = ()

    def _add(self, count: int) -> None:
        self.length += count
        if self.length > 2 * self._limit + _CHUNK:
            view = self._buffer.view
            view[: self._limit] = view[self.length - self._limit : self.length]
            self.length = self._limit

    @property
    def too_long(self) -> bool:
        """Never: what a program logs does not decide whether it is right."""
        return False

    def cut(self) -> memoryview:
        """Return the end of the output, valid until the buffer is used again."""
        return self._buffer.view[max(0, self.length - self._limit) : self.length]


def watch(
    outputs: tuple[Output, Output], connection: socket.socket, request: Request, done: int, usage: Usage, begun: float
) -> str | None:
    """Read a program's output and measure its usage until `done` is readable or a limit is exceeded.

    Return the verdict if a limit was exceeded, else None.

    Raises:
        ClientGoneError: the other side of the connection has closed.
    """
    streams = {output.reading: output for output in outputs}
    poll = select.poll()
    for number in (connection.fileno(), done, *streams):
        poll.register(number, select.POLLIN)
    deadline, next_look = begun + request.wall_seconds, begun + _TICK
    events: list[tuple[int, int]] = []
    while True:
        for number, event in events:
            if number == done:
                return None
            if number not in streams:
                if not connection.recv(1, socket.MSG_PEEK):
                    raise ClientGoneError
            elif not event & select.POLLIN or not streams[number].take():
                poll.unregister(number)
            elif streams[number].too_long:
                return "output"
        now = time.monotonic()
        if now >= deadline:
            return "timeout"
        if now >= next_look:
            next_look = now + _TICK
            cpu, memory = usage.measure()
            if cpu > request.cpu_seconds:
                return "timeout"
            if memory > request.memory_bytes:
                return "memory"
        events = poll.poll(max(0.0, min(next_look, deadline) - now) * 1000 + 1)


def _judge(code: int, cpu: float, memory: int, error: Buffer, length: int, request: Request) -> str:
    """Return the verdict of a program that has failed; `length` is that of its standard error, `memory` KiB."""
    if code in (_CPU_LIMIT, _KILLED) and cpu >= request.cpu_seconds:
        return "timeout"
    begin, end = find_last_line(error, length)
    if error.map.find(_MEMORY_ERROR, begin, min(end, begin + len(_MEMORY_ERROR))) == begin:
        return "memory"
    if code == _KILLED and memory << 10 >= _NEAR * request.memory_bytes:
        return "memory"
    return "killed" if code < 0 else "error"
