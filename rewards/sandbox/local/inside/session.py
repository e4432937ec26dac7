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
import signal
import socket
import struct
import time
from typing import Any, NamedTuple

from rewards.sandbox.local.inside import child, execution, holder, messages
from rewards.sandbox.local.inside.limits import Request, Usage, read_stat
from rewards.sandbox.local.inside.worker import Worker, reap_children

_MAX_REPORT = 1 << 20
_HOLDER_LIMITS = (
    b'{"limits": {"cpu_seconds": 86400, "wall_seconds": 0, "memory_mb": 65536, "processes": 1024, "file_mb": 4096, '
    b'"output_bytes": 0}}'
)
"""Hard limits that no call of a session can raise."""
_CREDENTIALS = struct.Struct("3i")
"""The sender's process, user and group, set by the kernel (unix(7))."""


def serve(worker: Worker, connection: socket.socket) -> None:
    """Run the calls of one session until the client closes it."""
    current: _Holder | None = None
    kept: list[tuple[Request, bytes]] = []
    while (received := messages.receive_request(connection, worker.work)) is not None:
        fields, code, _ = received
        if current is None:
            current = _begin(worker)
            for earlier, earlier_code in kept:
                _, after, _ = _call(worker, current, earlier, earlier_code, connection)
                current = after or _begin(worker)
        request = worker.read(fields)
        answer, current, is_kept = _call(worker, current, request, code, connection)
        if is_kept:
            kept.append((request, code))
        connection.sendall(answer)


class _Holder(NamedTuple):
    """The worker's side of the process that holds the variables."""

    pid: int
    channel: socket.socket


def _begin(worker: Worker) -> _Holder:
    """Start a holder without variables."""
    ours, theirs = _make_channel()
    pid = os.fork()
    if pid == 0:
        nothing = (worker.nothing, worker.nothing, worker.nothing)
        child.give_up_rights(worker, worker.read(_HOLDER_LIMITS), nothing, theirs.fileno())
        holder.hold(forks=_can_fork(worker))
    theirs.close()
    return _Holder(pid, ours)


def _call(
    worker: Worker, current: _Holder, request: Request, code: bytes, connection: socket.socket
) -> tuple[bytes, _Holder | None, bool]:
    """Run one call.

    Returns:
        The packed answer; the holder after the call, or None if it has ended; whether the call's changes are kept.
    """
    pipes = (os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC))
    outputs = (execution.Output(pipes[0][0], request.output_bytes), execution.Output(pipes[1][0], request.output_bytes))
    ours, theirs = _make_channel()
    begun = time.monotonic()
    _signal(current.pid, signal.SIGCONT)
    descriptors = [worker.nothing, *(writing for _, writing in pipes), theirs.fileno()]
    text, lost = code.decode("utf-8", errors="surrogatepass"), False
    task = {"code": text, "limits": request.prepared, "value_characters": request.output_bytes}
    try:
        socket.send_fds(current.channel, [b"c"], descriptors)
        current.channel.sendall(messages.pack_json(task))
    except OSError:
        lost = True
    theirs.close()
    for _, writing in pipes:
        os.close(writing)
    usage = Usage(worker.proc, current.pid, (current.pid,))
    ended_by = None if lost else execution.watch(outputs, connection, request, ours.fileno(), usage, begun)
    report, sender = (None, 0) if ended_by or lost else _read_report(ours)
    for output in outputs:
        output.finish(wait=False)
    if ended_by is None and any(output.too_long for output in outputs):
        ended_by = "output"
    forks, after = _can_fork(worker), None
    is_kept = report is not None and ended_by is None and report.get("verdict") != "memory"
    if is_kept and forks:
        after = _Holder(sender, ours)
        current.channel.close()
        # Its threads must not run while they are not watched.
        _signal(sender, signal.SIGSTOP)
        _end_others(worker, sender)
    else:
        ours.close()
        if is_kept:
            after = current
            _signal(current.pid, signal.SIGSTOP)
        elif forks and not lost and _end_others(worker, current.pid):
            after = current
        else:
            current.channel.close()
            with contextlib.suppress(ChildProcessError):  # already waited for
                worker.end(current.pid)
    reap_children()
    report = report or {}
    verdict = ended_by or report.get("verdict")
    value, cpu, status = report.get("value"), report.get("cpu_seconds"), report.get("status")
    answer = messages.pack_execution(
        verdict if verdict in messages.VERDICTS else "killed",
        status if type(status) is int and 0 <= status < 1 << 16 else None,
        time.monotonic() - begun,
        float(cpu) if isinstance(cpu, int | float) else math.nan,
        outputs[0].cut(),
        outputs[1].cut(),
        value.encode("utf-8", errors="replace")[: request.output_bytes] if isinstance(value, str) else None,
    )
    return answer, after, is_kept


def _make_channel() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def _read_report(channel: socket.socket) -> tuple[dict[str, Any] | None, int]:
    """Return the report of the process that ran a call, and that process's id as given by the kernel."""
    channel.settimeout(1.0)
    try:
        data, ancillary, _, _ = channel.recvmsg(_MAX_REPORT, socket.CMSG_SPACE(_CREDENTIALS.size))
        while data and len(data) < messages.size(data) <= _MAX_REPORT:
            more = channel.recv(_MAX_REPORT)
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
    """End every process except the holder. Return False if the holder has ended too."""
    while others := [int(name) for name in os.listdir(worker.proc) if name.isdigit() and int(name) not in (1, kept)]:
        for pid in others:
            _signal(pid, signal.SIGKILL)
        # Orphans become children of this process. Children of the holder stay zombies until the holder waits for them.
        reap_children()
        if all(_is_ended(worker.proc, pid) for pid in others):
            break
    return not _is_ended(worker.proc, kept)


def _is_ended(proc: int, pid: int) -> bool:
    """Return whether a process has ended; a zombie counts as ended."""
    fields = read_stat(proc, pid)
    return not fields or fields[0] in (b"Z", b"X")


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
