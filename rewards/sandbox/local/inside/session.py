"""A session: code that runs on the variables of earlier calls.

One process, the holder, has the variables. For each call it forks: the child runs the code and, if the code ends by itself,
becomes the new holder, and the old one ends. If the child has to be ended, the old holder stays, with the variables as they
were before the call.

Without a process namespace the holder may not fork and runs the code itself. If it has to be ended, a new one re-runs the
calls that were kept, with their output discarded.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import struct
import time
from typing import Any, NamedTuple

from rewards.sandbox.local.inside import child, driver, execution, limits, messages
from rewards.sandbox.local.inside.holder import START, Holder
from rewards.sandbox.local.inside.limits import Request
from rewards.sandbox.local.inside.usage import Usage, read_stat
from rewards.sandbox.local.inside.worker import Worker, reap_children

_MAX_REPORT = 1 << 20
_END_SECONDS = 20.0
"""How long the processes of a call may take to end."""
_HOLDER_LIMITS = (
    b'{"limits": {"cpu_seconds": 86400, "wall_seconds": 0, "memory_mb": 65536, "processes": 1024, "file_mb": 4096, '
    b'"output_bytes": 0}}'
)
"""Hard limits that no call of a session can raise."""
_CREDENTIALS = struct.Struct("3i")
"""The sender's process, user and group, set by the kernel (unix(7))."""


class Server:
    """Runs the calls of one session until the client closes it."""

    def __init__(self, worker: Worker, connection: socket.socket) -> None:
        self._worker, self._connection = worker, connection
        self._holder: _Holder | None = None
        self._kept: list[tuple[Request, str]] = []
        self._again: list[tuple[Request, str]] = []
        """Kept calls that a new holder still has to re-run."""
        self._waiting: tuple[Request, str] | None = None

    def next(self) -> None:
        """Do one thing: receive a call, start a holder, re-run a kept call, or run the call."""
        try:
            if self._waiting is None:
                self._waiting = self._receive()
            elif self._holder is None:
                self._begin()
            elif self._again:
                self._repeat(*self._again.pop(0))
            else:
                self._answer(*self._waiting)
        except execution.ClientGoneError:
            os._exit(0)
        except BaseException as error:
            messages.send_fault(self._connection, error)
            os._exit(driver.BROKEN)

    def failed(self, error: BaseException | None) -> None:
        """Never called: it has no actions."""

    def _receive(self) -> tuple[Request, str]:
        worker = self._worker
        received = messages.receive_request(self._connection, worker.work, worker.code, worker.buffers[0])
        if received is None:
            os._exit(0)
        fields, source, _ = received
        return worker.read(fields), bytes(source).decode("utf-8", errors="surrogatepass")

    def _begin(self) -> None:
        """Start a holder without variables. Returns twice: here, and in the holder."""
        ours, theirs = _make_channel()
        pid = os.fork()
        if pid == 0:
            try:
                nothing = (self._worker.nothing,) * 3
                limits = self._worker.read(_HOLDER_LIMITS).prepared
                child.give_up_rights(self._worker.rights, limits, nothing, theirs.fileno())
                for each in (ours, theirs):
                    each.detach()  # their numbers are something else now
                driver.become(Holder(forks=_can_fork(self._worker)))
            except BaseException:
                os._exit(driver.BROKEN)
            return
        theirs.close()
        # Until then it changes its own limits.
        waiting = select.poll()
        for number in (self._worker.started, ours.fileno()):
            waiting.register(number, select.POLLIN)
        waiting.poll()
        if not self._worker.has_started():
            raise execution.BrokenChildError("the process of a session ended before its first call")
        self._holder = _Holder(pid, ours)
        self._worker.rest()

    def _repeat(self, request: Request, code: str) -> None:
        """Re-run a kept call in a new holder."""
        report = self._run(request, code)
        if self._holder is None:
            # Without the call that ends its process: this one or, if it did not begin, the one before.
            culprit = self._kept.index((request, code)) - report.is_lost
            del self._kept[max(0, culprit)]
            self._again = list(self._kept)

    def _answer(self, request: Request, code: str) -> None:
        """Run the call that the client waits for."""
        report = self._run(request, code)
        if report.is_lost:
            # The holder had ended before, after the last call was answered. A new one gets this call.
            self._kept = self._kept[:-1]
        if self._holder is None:
            self._again = list(self._kept)
        if report.is_lost:
            return
        self._waiting = None
        messages.send_execution(self._connection, *report.fields)
        if report.is_kept:
            self._kept.append((request, code))

    def _run(self, request: Request, code: str) -> _Report:
        assert self._holder is not None
        report, self._holder = _call(self._worker, self._holder, request, code, self._connection)
        return report


class _Report(NamedTuple):
    """How a call ended."""

    fields: tuple[str, int | None, float, float, memoryview, memoryview, bytes | None]
    """For `messages.send_execution`."""
    is_kept: bool
    """Whether the call's changes are kept."""
    is_lost: bool
    """Whether it was not run."""


class _Holder(NamedTuple):
    """The worker's side of the process that holds the variables."""

    pid: int
    channel: socket.socket


def _call(
    worker: Worker, current: _Holder, request: Request, code: str, connection: socket.socket
) -> tuple[_Report, _Holder | None]:
    """Run one call. Return how it ended, and the holder after it, None if that has ended."""
    pipes = (os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC))
    limit, buffers = request.output_bytes, worker.buffers
    outputs = (execution.Output(pipes[0][0], limit, buffers[0]), execution.ErrorOutput(pipes[1][0], limit, buffers[1]))
    ours, theirs = _make_channel()
    begun = time.monotonic()
    usage = Usage(worker, current.pid, is_session=True)
    with contextlib.suppress(ProcessLookupError):  # it has ended
        limits.set_soft_limits(current.pid, request)
    _signal(current.pid, signal.SIGCONT)
    descriptors = [worker.nothing, *(writing for _, writing in pipes), theirs.fileno()]
    task, lost = {"code": code, "value_characters": request.output_bytes}, False
    try:
        socket.send_fds(current.channel, [b"c"], descriptors)
        current.channel.sendall(messages.pack_json(task))
    except OSError:
        lost = True
    theirs.close()
    for _, writing in pipes:
        os.close(writing)
    ended_by, report, sender = None, None, 0
    if not lost:
        ended_by = execution.watch(outputs, connection, request, ours.fileno(), usage, begun)
        lost = ended_by is None and not _read_start(ours)
    if not lost and ended_by is None:
        ended_by = execution.watch(outputs, connection, request, ours.fileno(), usage, begun)
        report, sender = (None, 0) if ended_by else _read_report(ours)
    counted = usage.read_cpu()
    if ended_by is None and counted is not None and counted > request.cpu_seconds:
        ended_by = "timeout"  # since the last look
    for output in outputs:
        output.finish(wait=False)
    if ended_by is None and any(output.too_long for output in outputs):
        ended_by = "output"
    forks, after = _can_fork(worker), None
    is_kept = report is not None and ended_by is None and report.get("verdict") != "memory"
    if forks and is_kept and _is_ended(worker.proc, sender):
        is_kept = False  # the call has reported by itself, and has ended
    if is_kept and forks:
        after = _Holder(sender, ours)
        current.channel.close()
        _end_others(worker, sender)
    else:
        ours.close()
        if is_kept or (forks and not lost and _end_others(worker, current.pid)):
            after = current
        else:
            current.channel.close()
            with contextlib.suppress(ChildProcessError):  # already waited for
                worker.end(current.pid)
    if after is not None:
        # Its threads must not run while they are not watched. Last, because the end of another process may continue it.
        _signal(after.pid, signal.SIGSTOP)
    reap_children()
    worker.rest()
    verdict, status, cpu, value = _read(report or {}, request.output_bytes)
    cpu = cpu if counted is None else counted
    seconds = time.monotonic() - begun
    fields = (ended_by or verdict, status, seconds, cpu, outputs[0].cut(), outputs[1].cut(), value)
    return _Report(fields, is_kept, lost), after


def _read(report: dict[str, Any], most: int) -> tuple[str, int | None, float, bytes | None]:
    """Return the verdict, status, CPU seconds and value of a report, which untrusted code may have written."""
    verdict, status, cpu, value = (report.get(name) for name in ("verdict", "status", "cpu_seconds", "value"))
    return (
        verdict if type(verdict) is str and verdict in messages.VERDICTS else "killed",
        status if type(status) is int and 0 <= status < 1 << 16 else None,
        cpu if type(cpu) is float else math.nan,
        value.encode("utf-8", errors="replace")[:most] if type(value) is str else None,
    )


def _make_channel() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def _read_start(channel: socket.socket) -> bool:
    """Return whether a call has begun: its process says so before it runs the code."""
    try:
        return channel.recv(len(START)) == START
    except OSError:
        return False


def _read_report(channel: socket.socket) -> tuple[dict[str, Any] | None, int]:
    """Return the report of the process that ran a call, and that process's id as given by the kernel."""
    channel.settimeout(1.0)
    try:
        data, ancillary, _, _ = channel.recvmsg(_MAX_REPORT, socket.CMSG_SPACE(_CREDENTIALS.size))
        while data and len(data) < messages.json_size(data) <= _MAX_REPORT:
            more = channel.recv(_MAX_REPORT)
            data = data + more if more else b""
        report = messages.unpack_json(data) if data else None
        pid = next(_CREDENTIALS.unpack(value)[0] for _, kind, value in ancillary if kind == socket.SCM_CREDENTIALS)
    except (OSError, ValueError, LookupError, StopIteration, RecursionError, MemoryError, struct.error):
        return None, 0
    finally:
        channel.settimeout(None)
    return (report, pid) if isinstance(report, dict) and pid > 1 else (None, 0)


def _can_fork(worker: Worker) -> bool:
    return worker.owns_processes and worker.proc >= 0


def _end_others(worker: Worker, kept: int) -> bool:
    """End every process except the holder, and stop the holder. Return False if it has ended too."""
    deadline = time.monotonic() + _END_SECONDS
    while True:
        _signal(kept, signal.SIGSTOP)  # it could start others
        others = [int(name) for name in os.listdir(worker.proc) if name.isdigit() and int(name) not in (1, kept)]
        for pid in others:
            _signal(pid, signal.SIGKILL)
        # Orphans become children of this process. Children of the holder stay zombies until the holder waits for them.
        reap_children()
        if all(_is_ended(worker.proc, pid) for pid in others):
            return not _is_ended(worker.proc, kept)
        if time.monotonic() > deadline:  # the ends of its children continue it, and it starts more
            _signal(-1, signal.SIGKILL)
            return False


def _is_ended(proc: int, pid: int) -> bool:
    """Return whether a process has ended; a zombie counts as ended."""
    fields = read_stat(proc, pid)
    return not fields or fields[0] in (b"Z", b"X")


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
