"""A worker: one process, isolated from the host, that forks every program it is given and sees to its end.

Where it has a process namespace it is the first process in it: it hears no signal from inside, every orphan is its own,
and one call of kill(2) ends all that a program left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from rewards.sandbox.local.inside import execution, kernel, limits, messages, runner, session, view
from rewards.sandbox.local.inside.child import PROGRAM_USER
from rewards.sandbox.local.inside.request import Request

MAP_USERS, NO_MAP = b"a", b"n"
"""What a worker asks of the template."""
MAPPED, NOT_MAPPED, ADOPTED = b"m", b"x", b"g"
"""What the template answers."""

_MODE = 0o1777
_MOST_REQUESTS = 64


class Worker:
    """What a worker holds: how it is isolated, and the means to run programs."""

    def __init__(self, config: dict[str, Any], switches_user: bool) -> None:
        self.mode: str = config["mode"]
        # On the host's file system only what the template has made for it.
        self.work: str = config["own_work"] if self.mode == "namespaces" else config["work"]
        self.file_mb: int = config["file_mb"]
        self.filter = bytes.fromhex(config["filter"])
        self.readable: list[str] = config["readable"]
        self.proc = -1
        self.ruleset = -1
        self.poll = select.poll()
        """Waits for the client, and for whatever is registered for a while."""
        self.nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._empty = self._mode = 0
        self._broken: dict[str, str] = {}
        self.switches_user = switches_user
        """Whether programs run as another user than this process."""
        self.in_namespaces = self.mode == "namespaces"
        self.owns_processes = os.getpid() == 1
        """Whether every process that it can signal is one of its program's."""
        self.runners: dict[str, ModuleType] = {}
        self._requests: dict[bytes, Request] = {}
        with open("/proc/self/statm") as file:
            self.base_bytes = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")

    def isolate(self) -> None:
        """Puts in force, for this process and so for all programs, whatever does not keep it from its own work."""
        if self.in_namespaces:
            self.proc = view.enter(self.readable, self.work, self.file_mb)
            _offer_to_the_kernel(self.proc)
        else:
            kernel.adopt_orphans()
        if self.mode == "landlock":
            self.ruleset = kernel.make_ruleset(self.readable, [self.work, "/dev/null"])
        os.chdir(self.work)
        folder = os.stat(self.work)
        self._empty, self._mode = folder.st_size, folder.st_mode
        os.environ.update({"HOME": self.work, "TMPDIR": self.work})
        limits.put_common_in_force()
        kernel.hide_memory()
        kernel.refuse_privileges()
        if self.in_namespaces and self.filter:
            # A filter costs a tenth of an execution to install; here it costs nothing. It refuses this process nothing
            # that it still needs.
            kernel.restrict_calls(self.filter)
            self.filter = b""

    def end(self, pid: int, *, by_force: bool = True) -> tuple[int, resource.struct_rusage]:
        """Waits for a program's first process, and ends all that it left behind.

        Returns that process's wait status and usage. With `by_force` it is ended too; it must have ended otherwise.
        """
        if by_force or not self.owns_processes:
            # Before it is waited for: until then its number names this group of processes and no other.
            self._kill(pid)
        _, status, usage = os.wait4(pid, 0)
        if not self.owns_processes:
            end_children()
            return status, usage
        # Whatever it left has become this process's child by now.
        while True:
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return status, usage
            self._kill(-1)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)

    def _kill(self, pid: int) -> None:
        """Ends a program's processes, as far as they can be named at once."""
        with contextlib.suppress(ProcessLookupError):
            if self.owns_processes:
                os.kill(-1, signal.SIGKILL)
            else:
                os.killpg(pid, signal.SIGKILL)

    def clean(self) -> None:
        """Makes the programs' folder empty."""
        folder = os.stat(self.work)
        if self.in_namespaces and folder.st_size == self._empty and folder.st_mode == self._mode:
            return  # a folder in memory has a size by what it holds
        os.chmod(self.work, _MODE)
        for name in os.listdir(self.work):
            path = f"{self.work}/{name}"
            if os.path.isdir(path) and not os.path.islink(path):
                _remove_tree(path)
            else:
                os.unlink(path)

    def read(self, fields: bytes) -> Request:
        """A request's fields; those that came before are not read again."""
        request = self._requests.get(fields)
        if request is None:
            # The worker is a process of the programs' user, unless they have one of their own.
            others = -1 if not self.owns_processes else 0 if self.switches_user else 1
            if len(self._requests) >= _MOST_REQUESTS:
                self._requests.clear()
            request = self._requests[fields] = Request(fields, self.base_bytes, others)
        return request

    def add_runner(self, name: str, sources: bytes) -> None:
        """Loads a runner, once; programs find it in the memory that they are forked with. `sources` is JSON."""
        try:
            self.runners[name] = runner.load(name, json.loads(sources))
        except BaseException as error:
            self._broken[name] = f"{type(error).__name__}: {error}"

    def find_fault(self, request: Request) -> str | None:
        """Why a request cannot be met, which is no program's fault."""
        if request.uses is None or request.uses in self.runners:
            return None
        return self._broken.get(request.uses, "it is not loaded")


def start(config: dict[str, Any], connection: socket.socket, asks: int, told: int) -> NoReturn:
    """Isolates this process, tells the client how, and serves it.

    Args:
        config: the template's configuration.
        connection: the client.
        asks: a pipe on which this process asks the template for its users.
        told: a pipe on which the template answers.
    """
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        switches_user = config["mode"] == "namespaces" and _enter_namespaces(config, asks, told)
        itself = Worker(config, switches_user)
        os.close(asks)
        os.close(told)
        itself.isolate()
        itself.poll.register(connection, select.POLLIN)
        kernel.die_with_parent(signal.SIGKILL)
        connection.sendall(messages.pack_json({"pid_one": itself.owns_processes, "proc": itself.proc >= 0}))
    except BaseException as error:
        with contextlib.suppress(OSError):
            why = error.strerror if isinstance(error, OSError) else str(error)
            connection.sendall(messages.pack_json({"error": why or type(error).__name__}))
        os._exit(1)
    with contextlib.suppress(BaseException):  # the client sees the connection close, and goes on with another worker
        _serve(itself, connection)
    os._exit(0)


def _enter_namespaces(config: dict[str, Any], asks: int, told: int) -> bool:
    """Moves on into new namespaces, as their first process; returns whether programs get a user of their own."""
    user, group = os.getuid(), os.getgid()
    kernel.unshare(kernel.NEW_USER | kernel.NEW_PIDS | kernel.NEW_MOUNTS | kernel.NEW_NETWORK | kernel.NEW_IPC | kernel.NEW_UTS)
    two_users = False
    if config["host_user"] is None:
        os.write(asks, NO_MAP)
    else:
        os.write(asks, MAP_USERS)
        two_users = os.read(told, 1) == MAPPED
    if not two_users:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{PROGRAM_USER} {user} 1"),
            ("gid_map", f"{PROGRAM_USER} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    if os.fork():  # only a child is in the new process namespace
        os._exit(0)
    # Before, the end of the process in between would be taken for the template's.
    os.read(told, 1)
    # A process group reaches across namespaces: with the template's, a program could end those of other workers.
    os.setsid()
    socket.sethostname("sandbox")
    if two_users:
        os.setgroups([])
        os.setresgid(PROGRAM_USER, PROGRAM_USER, PROGRAM_USER)
    return two_users


def _serve(itself: Worker, connection: socket.socket) -> None:
    while (received := messages.receive_request(connection, itself.work)) is not None:
        fields, code, stdin = received
        request = itself.read(fields)
        if request.uses is not None and "source" in request.fields:
            itself.add_runner(request.uses, code)
        elif "session" in request.fields:
            session.serve(itself, connection)
            return
        elif (why := itself.find_fault(request)) is not None:
            connection.sendall(messages.pack_json({"error": why}))
        else:
            answer = execution.run(itself, request, code, stdin, connection)
            itself.clean()
            connection.sendall(answer)


def end_children() -> None:
    """Ends all children of this process, and the orphans that become its children by that."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            children = [int(text) for text in file.read().split()]
        if not children:
            return
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _remove_tree(path: str) -> None:
    """Removes a folder; a program may have taken the rights to its folders away."""
    import shutil  # with all that it imports; rarely needed

    def allow(function: Callable[..., object], where: str, _: object) -> None:
        os.chmod(os.path.dirname(where), 0o700)
        if os.path.islink(where) or not os.path.isdir(where):
            # Not its rights: those of what a link leads to would be changed.
            os.unlink(where)
        else:
            os.chmod(where, 0o700)
            shutil.rmtree(where, onerror=allow)

    shutil.rmtree(path, onerror=allow)


def _offer_to_the_kernel(proc: int) -> None:
    """Where the machine runs out of memory, the programs go first."""
    if proc < 0:
        return
    with contextlib.suppress(OSError):
        descriptor = os.open("self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        os.write(descriptor, b"1000")
        os.close(descriptor)
