"""One execution: a program is forked, watched, ended, and told of."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from rewards.sandbox.inside import child
from rewards.sandbox.inside.limits import Usage

if TYPE_CHECKING:
    from rewards.sandbox.inside.worker import Worker

_TICK = 0.05
"""Seconds between two looks at what a program uses."""
_CHUNK = 1 << 16
_NEAR = 0.9
"""A process that was killed this near to its memory limit was killed for memory."""


class ClientGoneError(Exception):
    """Nobody waits for the result."""


class Output:
    """What a program wrote to one descriptor, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.reading, self.writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.reading, False)
        self.data = bytearray()
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

    def text(self) -> str:
        """What may be told of it."""
        return self.data[: self._limit].decode("utf-8", errors="replace")


def run(worker: Worker, request: dict[str, Any], connection: socket.socket) -> dict[str, Any]:
    """Runs one program to its end, and all of its processes' end."""
    limits = request["limits"]
    outputs = (Output(limits["output_bytes"]), Output(limits["output_bytes"]))
    stdin = _open_stdin(request["stdin"], worker.work)
    # Worked out before the fork, after which every page that is written to is copied, here too.
    rights = child.Rights(worker, limits, (stdin, outputs[0].writing, outputs[1].writing))
    watch = Watch(outputs, connection, limits)
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child.become_program(worker, request, rights)
    for descriptor in (stdin, outputs[0].writing, outputs[1].writing):
        os.close(descriptor)
    watched = os.pidfd_open(pid)
    ended_by = watch.wait(watched, Usage(worker.proc, pid))
    status, usage = worker.end(pid)
    for output in outputs:
        output.take()
        os.close(output.reading)
    os.close(watched)
    cpu = usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    verdict = ended_by or _judge(code, cpu, usage.ru_maxrss << 10, outputs, limits)
    return {
        "verdict": verdict,
        "output": outputs[0].text(),
        "error": outputs[1].text(),
        "status": None if ended_by else code,
        "seconds": time.monotonic() - begun,
        "cpu_seconds": cpu,
    }


class Watch:
    """Waits for the end of a program, taking its output and looking at what it uses."""

    def __init__(self, outputs: tuple[Output, Output], connection: socket.socket, limits: dict[str, Any]) -> None:
        self._connection, self._limits = connection, limits
        self._outputs = {output.reading: output for output in outputs}
        self._poll = select.poll()
        for descriptor in (connection.fileno(), *self._outputs):
            self._poll.register(descriptor, select.POLLIN)

    def wait(self, done: int, usage: Usage) -> str | None:
        """Returns when `done` is readable, or with the limit that was passed before.

        Raises:
            ClientGoneError: the other side of the connection has closed.
        """
        poll, outputs = self._poll, self._outputs
        poll.register(done, select.POLLIN)
        now = time.monotonic()
        deadline, next_look = now + self._limits["wall_seconds"], now + _TICK
        while True:
            events = poll.poll(max(0.0, min(next_look, deadline) - now) * 1000 + 1)
            for number, event in events:
                if number == done:
                    return None
                if number not in outputs:
                    if not self._connection.recv(1, socket.MSG_PEEK):
                        raise ClientGoneError
                elif not event & select.POLLIN or not outputs[number].take():
                    poll.unregister(number)
                elif outputs[number].too_long:
                    return "output"
            now = time.monotonic()
            if now >= deadline:
                return "timeout"
            if now >= next_look:
                next_look = now + _TICK
                if (passed := self._look(usage)) is not None:
                    return passed

    def _look(self, usage: Usage) -> str | None:
        cpu, memory = usage.measure()
        if cpu > self._limits["cpu_seconds"]:
            return "timeout"
        return "memory" if memory > self._limits["memory_mb"] << 20 else None


def _open_stdin(text: str, folder: str) -> int:
    if not text:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    data = memoryview(text.encode("utf-8", errors="surrogatepass"))
    while data:
        data = data[os.write(descriptor, data) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _judge(code: int, cpu: float, memory: int, outputs: tuple[Output, Output], limits: dict[str, Any]) -> str:
    if any(output.too_long for output in outputs):
        return "output"
    if code in (-signal.SIGXCPU, -signal.SIGKILL) and cpu >= limits["cpu_seconds"]:
        return "timeout"
    if code == 0:
        return "ok"
    last = outputs[1].data.rstrip().rpartition(b"\n")[2]
    if last.startswith(b"MemoryError") or (code == -signal.SIGKILL and memory >= _NEAR * (limits["memory_mb"] << 20)):
        return "memory"
    return "killed" if code < 0 else "error"
