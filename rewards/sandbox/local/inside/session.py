"""A session: code that runs on the variables which earlier calls left.

The variables live in a process, the holder. For each call the holder forks: the child runs the code and, when that has
ended by itself, becomes the holder, and the old one ends. A child that is ended leaves the old holder and with it the
variables as they were before the call.

Without a process namespace a holder may not fork: it runs the code itself. When it has to be ended, the calls that were
kept are run again in a new one, unseen.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from rewards.sandbox.local.inside import child, execution, holder, messages
from rewards.sandbox.local.inside.limits import Usage

if TYPE_CHECKING:
    from rewards.sandbox.local.inside.request import Request
    from rewards.sandbox.local.inside.worker import Worker

_LONGEST_REPORT = 1 << 20
_MOST = (
    b'{"limits": {"cpu_seconds": 86400, "wall_seconds": 0, "memory_mb": 65536, "processes": 1024, "file_mb": 4096, '
    b'"output_bytes": 0}}'
)
"""What no call of a session gets past, whatever it asks the kernel for."""
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group, as the kernel says them of a sender (unix(7))."""


def serve(worker: Worker, connection: socket.socket) -> None:
    """Runs the calls of one session until the client closes it."""
    current: _Holder | None = None
    kept: list[tuple[Request, bytes]] = []
    while (received := messages.receive_request(connection, worker.work)) is not None:
        fields, code, _ = received
        if current is None:
            current = _restore(worker, kept, connection)
        request = worker.read(fields)
        answer, current, is_kept = _call(worker, current, request, code, connection)
        if is_kept:
            kept.append((request, code))
        connection.sendall(answer)


def _restore(worker: Worker, kept: list[tuple[Request, bytes]], connection: socket.socket) -> _Holder:
    """A holder with the variables that the kept calls made."""
    current = _Holder.begin(worker)
    for request, code in kept:
        _, after, _ = _call(worker, current, request, code, connection)
        current = after or _Holder.begin(worker)
    return current


class _Holder:
    """The worker's side of the process that holds the variables."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid, self.channel = pid, channel

    @staticmethod
    def begin(worker: Worker) -> _Holder:
        """A holder without variables."""
        ours, theirs = _make_channel()
        pid = os.fork()
        if pid == 0:
            nothing = (worker.nothing, worker.nothing, worker.nothing)
            child.give_up_rights(worker, worker.read(_MOST), nothing, theirs.fileno())
            holder.hold(forks=_can_fork(worker))
        theirs.close()
        return _Holder(pid, ours)


def _call(
    worker: Worker, current: _Holder, request: Request, code: bytes, connection: socket.socket
) -> tuple[bytes, _Holder | None, bool]:
    """Runs one call.

    Returns its packed answer; who holds the variables after it (None: nobody any more); whether what it did is kept.
    """
    pipes = (os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC))
    outputs = (execution.Output(pipes[0][0], request.output_bytes), execution.Output(pipes[1][0], request.output_bytes))
    ours, theirs = _make_channel()
    watch = execution.Watch(outputs, connection, request)
    begun = time.monotonic()
    _signal(current.pid, signal.SIGCONT)
    in_place = not _can_fork(worker)
    descriptors = [worker.nothing, *(writing for _, writing in pipes), theirs.fileno()]
    task = {"code": code.decode("utf-8", errors="surrogatepass"), "limits": request.prepared, "longest": request.output_bytes}
    lost = False
    try:
        socket.send_fds(current.channel, [b"c"], descriptors)
        current.channel.sendall(messages.pack_json(task))
    except OSError:
        lost = True
    theirs.close()
    for _, writing in pipes:
        os.close(writing)
    usage = Usage(worker.proc, current.pid, (current.pid,))
    ended_by = None if lost else watch.wait(ours.fileno(), usage, begun)
    report, sender = (None, 0) if ended_by or lost else _read_report(ours)
    for output in outputs:
        output.take_ready()
    if ended_by is None and any(output.too_long for output in outputs):
        ended_by = "output"
    after: _Holder | None
    is_kept = report is not None and ended_by is None and not lost and report.get("verdict") != "memory"
    if not is_kept:
        after = current if not in_place and not lost and _end_others(worker, current.pid) else None
        ours.close()
    elif in_place:
        after = current
        ours.close()
        _signal(current.pid, signal.SIGSTOP)
    else:
        after = _Holder(sender, ours)
        current.channel.close()
        # What runs on in it would go on while nobody watches.
        _signal(sender, signal.SIGSTOP)
        _end_others(worker, sender)
    if after is None:
        current.channel.close()
        with contextlib.suppress(ChildProcessError):  # it has been waited for
            worker.end(current.pid)
    _reap()
    report = report or {}
    verdict = ended_by or report.get("verdict")
    value, cpu, status = report.get("value"), report.get("cpu_seconds"), report.get("status")
    answer = messages.pack_execution(
        verdict if verdict in messages.VERDICTS else "killed",
        status if type(status) is int and 0 <= status < 1 << 16 else None,
        time.monotonic() - begun,
        float(cpu) if isinstance(cpu, int | float) else math.nan,
        outputs[0].told(),
        outputs[1].told(),
        value.encode("utf-8", errors="replace")[: request.output_bytes] if isinstance(value, str) else None,
    )
    return answer, after, is_kept


def _make_channel() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def _read_report(channel: socket.socket) -> tuple[dict[str, Any] | None, int]:
    """What the process that ran a call says of it, and which process that is: the kernel says, not the message."""
    channel.settimeout(1.0)
    try:
        data, ancillary, _, _ = channel.recvmsg(_LONGEST_REPORT, socket.CMSG_SPACE(_CREDENTIALS.size))
        while data and len(data) < messages.size(data) <= _LONGEST_REPORT:
            more = channel.recv(_LONGEST_REPORT)
            data = data + more if more else b""
        report = messages.unpack(data) if data else None
        pid = next(_CREDENTIALS.unpack(value)[0] for _, kind, value in ancillary if kind == socket.SCM_CREDENTIALS)
    except (OSError, ValueError, StopIteration, RecursionError, struct.error):
        return None, 0
    finally:
        channel.settimeout(None)
    return (report, pid) if isinstance(report, dict) and pid > 1 else (None, 0)


def _can_fork(worker: Worker) -> bool:
    return worker.owns_processes and worker.proc >= 0


def _end_others(worker: Worker, kept: int) -> bool:
    """Ends every process but the holder; False where the holder has ended too."""
    while others := [int(name) for name in os.listdir(worker.proc) if name.isdigit() and int(name) not in (1, kept)]:
        for pid in others:
            _signal(pid, signal.SIGKILL)
        # Orphans become children of this process; what is still a child of the holder goes to it.
        _reap()
        if all(_is_ended(worker.proc, pid) for pid in others):
            break
    return not _is_ended(worker.proc, kept)


def _is_ended(proc: int, pid: int) -> bool:
    """Whether a process is gone, or only waits to be noticed by its parent."""
    try:
        descriptor = os.open(f"{pid}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return True
    with os.fdopen(descriptor, "rb") as file:
        try:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
        except OSError:
            return True


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
