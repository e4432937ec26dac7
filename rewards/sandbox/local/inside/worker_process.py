"""The process of a worker: it enters its isolation, reports it to the client, and serves the client's requests."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from functools import partial
from typing import Any

from rewards.sandbox.local.inside import cgroup, child, driver, execution, kernel, messages, session, worker
from rewards.sandbox.local.inside.placement import gather
from rewards.sandbox.local.inside.worker import PROGRAM_USER, Worker

MAP_USERS, NO_MAP = b"a", b"n"
"""A worker's requests to the template."""
MAPPED, NOT_MAPPED, ADOPTED = b"m", b"x", b"g"
"""The template's replies."""
_CALLS = 20
"""Calls after which Python has specialised the code of a function."""


def start(config: dict[str, Any], connection: socket.socket, requests: int, replies: int) -> None:
    """Isolate this process, report the isolation to the client, and become a worker.

    `requests` and `replies` are pipes to and from the template.
    """
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        groups = cgroup.Groups(config["groups"], config["group"])
        switches_user = config["mode"] == "namespaces" and _enter_namespaces(config, requests, replies)
        worker = Worker(config, switches_user, groups)
        os.close(requests)
        os.close(replies)
        worker.isolate()
        worker.register(connection, select.POLLIN)
        kernel.die_with_parent(signal.SIGKILL)
        driver.become(session.Server(worker, connection) if worker.is_session else _Server(worker, connection))
        hello = {"pid_one": worker.owns_processes, "proc": worker.proc >= 0, "counted": groups.counted}
        connection.sendall(messages.pack_json(hello))
    except BaseException as error:
        with contextlib.suppress(OSError):
            why = error.strerror if isinstance(error, OSError) else str(error)
            connection.sendall(messages.pack_json({"error": why or type(error).__name__}))
        os._exit(1)


def place() -> None:
    """Put what a worker calls for each program next to each other. Call it before anything has copies of the functions."""
    called = (
        *(_Server.next, messages.receive_request, execution.run, execution.drain, messages.send_execution),
        *(Worker.end, Worker.has_started, Worker.clean, kernel.fork, kernel.wait4, kernel.wait, kernel.reap),
        *(child.become_program, child.give_up_rights, child.flush, driver.become, driver.next_action),
        *(child.Program.start, child.Program.next, child.Program._flush_both),
    )
    gather(called, (execution, messages, kernel, worker, child, driver, _Server, Worker, child.Program))
    # So that Python specialises their code here, not in each program's process.
    for _ in range(_CALLS):
        driver.become(child.Program({}, child.NAME).start("pass"))
        for _ in range(3):
            driver.next_action()
    driver.forget()


class _Server:
    """Runs the programs that a client sends."""

    def __init__(self, worker: Worker, connection: socket.socket) -> None:
        self._worker, self._connection = worker, connection
        worker.starts[None] = child.Program({}, f"{worker.work}/{child.NAME}").start

    def next(self) -> None:
        """Serve the next request."""
        worker, connection = self._worker, self._connection
        try:
            received = messages.receive_request(connection, worker.work, worker.code, worker.buffers[0])
            if received is None:
                os._exit(0)
            fields, source, stdin = received
            # As `worker.read`, without a call where it is known.
            request = worker.requests[fields] if fields in worker.requests else worker.read(fields)
            if request.uses is not None and "source" in request.fields:
                worker.add_runner(request.uses, source)
                module = worker.runners.get(request.uses)
                names = getattr(module, "NAMES", None)
                if names is not None:
                    worker.starts[request.uses] = child.Program(names, f"{worker.work}/{child.NAME}").start
                elif module is not None:
                    worker.starts[request.uses] = partial(child.Runner, module)
                worker.code.clear()
            elif request.uses is not None and request.uses not in worker.runners:
                connection.sendall(messages.pack_json({"error": worker.broken_runners.get(request.uses, "it is not loaded")}))
            else:
                execution.run(worker, request, source, stdin, connection)
                # Nothing here: the program, which is forked from this process, returns to here, too.
        except execution.ClientGoneError:
            os._exit(0)
        except BaseException as error:
            messages.send_fault(connection, error)
            os._exit(driver.BROKEN)

    def failed(self, error: BaseException | None) -> None:
        """Never called: it has no actions."""


def _enter_namespaces(config: dict[str, Any], requests: int, replies: int) -> bool:
    """Continue as the first process of new namespaces. Return whether programs run as a separate user."""
    user, group = os.getuid(), os.getgid()
    kernel.unshare(kernel.NEW_USER | kernel.NEW_PIDS | kernel.NEW_MOUNTS | kernel.NEW_NETWORK | kernel.NEW_IPC | kernel.NEW_UTS)
    with contextlib.suppress(OSError):  # a kernel without them
        # So that programs do not see the names of the host's groups.
        kernel.unshare(kernel.NEW_CGROUPS)
    os.write(requests, NO_MAP if config["host_user"] is None else MAP_USERS)
    two_users = config["host_user"] is not None and os.read(replies, 1) == MAPPED
    if not two_users:
        maps = {"setgroups": "deny", "uid_map": f"{PROGRAM_USER} {user} 1", "gid_map": f"{PROGRAM_USER} {group} 1"}
        for name, text in maps.items():
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    if os.fork():  # only a child is in the new process namespace
        os._exit(0)
    # Wait until the template has adopted this process: `die_with_parent` must not see the end of the process in between.
    os.read(replies, 1)
    # A process group extends across namespaces: in the template's, a program could kill those of other workers.
    os.setsid()
    socket.sethostname("sandbox")
    if two_users:
        os.setgroups([])
        os.setresgid(PROGRAM_USER, PROGRAM_USER, PROGRAM_USER)
    return two_users
