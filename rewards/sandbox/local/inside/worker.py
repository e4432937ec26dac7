"""A worker's state: its isolation, and what it needs to run programs and to clean up after them."""

from __future__ import annotations

import _random
import contextlib
import json
import os
import random
import select
import signal
from collections.abc import Callable
from functools import partial
from os import eventfd_read, stat, statvfs
from stat import ST_MODE, ST_SIZE
from types import ModuleType
from typing import Any

from rewards.sandbox.local.inside import cgroup, kernel, limits, runner, view
from rewards.sandbox.local.inside.buffers import Buffer, SharedBuffer
from rewards.sandbox.local.inside.driver import Steps
from rewards.sandbox.local.inside.kernel import reap, wait
from rewards.sandbox.local.inside.limits import Request

PROGRAM_USER = 1000
"""The user id of programs in their namespace."""

_MAX_REQUESTS = 64

Rights = tuple[bool, int, bool, bool, bytes, int]
"""What a program's process needs to give up its rights: `in_namespaces`, `ruleset`, `switches_user`, `reads_all`, `filter` and
`started` of its worker."""


class Worker:
    """One process, isolated from the host, that forks each program it is given and waits for its end.

    In a process namespace it is the first process: it receives no signal from inside, every orphan becomes its child, and
    one call of kill(2) ends everything that a program leaves running.
    """

    def __init__(self, config: dict[str, Any], switches_user: bool, groups: cgroup.Groups) -> None:
        self.mode: str = config["mode"]
        # On the host's file system, only the folder that the template has created for it.
        self.work: str = config["own_work"] if self.mode == "namespaces" else config["work"]
        self.is_session: bool = config["session"]
        self.filter = bytes.fromhex(config["session_filter" if self.is_session else "filter"])
        self.proc = self.ruleset = -1
        self.groups = groups
        self.idle_cpu, self.idle_bytes = 0.0, 0
        """What the groups have counted when the last program, or the last call of the session, had ended."""
        poll = select.poll()
        self.poll, self.register, self.unregister = partial(poll.poll), partial(poll.register), partial(poll.unregister)
        """Poll the client, and other descriptors while they are registered."""
        self.nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.switches_user = switches_user
        """Whether programs run as another user than this process."""
        self.in_namespaces = self.mode == "namespaces"
        self.owns_processes = os.getpid() == 1
        """Whether every process that it can signal belongs to its program."""
        self.runners: dict[str, ModuleType] = {}
        self._config = config
        self._empty_folder = (0, 0)
        self.broken_runners: dict[str, str] = {}
        self.requests: dict[bytes, Request] = {}
        """The requests that `read` has parsed."""
        self.code = SharedBuffer()
        """The next request, with the source of its program."""
        self.buffers = (Buffer(), Buffer())
        """The outputs of the last program."""
        self.started = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """What a forked process writes to before it becomes the program."""
        self.starts: dict[str | None, Callable[[str], Steps]] = {}
        """Runner, or None -> returns what runs a program with this source."""
        self.fork = os.fork if config["imports"] else kernel.fork
        """Forks a program. Packages may have registered functions that must run after a fork."""
        self.seed = partial(_random.Random.seed, random._inst)
        """Gives the next program other random numbers, as a fork of Python's would."""
        self.rights: Rights
        self.reads_all = False
        """Whether this process and programs are another user than the client, who could not read Python without a right."""
        with open("/proc/self/statm") as file:
            self._base_bytes = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")

    def isolate(self) -> None:
        """Apply, to this process and so to all programs, every restriction that does not prevent its own work."""
        if self.in_namespaces:
            self.proc = view.enter(self._config["readable"], self.work, self._config["file_mb"])
            # If the machine runs out of memory, the kernel kills programs first.
            with contextlib.suppress(OSError):
                descriptor = os.open("self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.proc)
                os.write(descriptor, b"1000")
                os.close(descriptor)
        else:
            kernel.adopt_orphans()
        if self.mode == "landlock":
            self.ruleset = kernel.make_ruleset(self._config["readable"], [self.work, "/dev/null"])
            if self._config["host_user"] is not None:
                self.reads_all = not all(map(_is_public, (*self._config["readable"], self.work)))
                kernel.become_user(self._config["host_user"], read_all=self.reads_all)
        os.chdir(self.work)
        folder = os.stat(self.work)
        self._empty_folder = folder.st_size, folder.st_mode
        os.environ.update({"HOME": self.work, "TMPDIR": self.work})
        limits.apply_common_limits()
        kernel.hide_memory()
        kernel.refuse_privileges()
        if self.in_namespaces and self.filter and not self.is_session:
            # Installing a filter costs a tenth of an execution, so it is done once, here. It refuses nothing that this
            # process still needs.
            kernel.restrict_calls(self.filter)
            self.filter = b""
        self.rest()
        self.rights = self.in_namespaces, self.ruleset, self.switches_user, self.reads_all, self.filter, self.started

    def rest(self) -> None:
        """Take note of what has been used when no program runs."""
        if "cpu" in self.groups.counted:
            self.idle_cpu = self.groups.read_cpu()
        if "memory" in self.groups.counted:
            self.idle_bytes = self.read_memory()

    def read_memory(self) -> int:
        """Return the bytes that the groups hold, without the programs' folder and output, which have limits of their own."""
        used, shared = self.groups.read_memory()
        used -= sum(len(each.view) for each in self.buffers)
        if not self.in_namespaces:
            return used  # the folder may be in memory, too
        folder = statvfs(self.work)
        return used + shared - (folder.f_blocks - folder.f_bfree) * folder.f_bsize

    def has_started(self) -> bool:
        """Return whether the last forked process became its program."""
        try:
            return eventfd_read(self.started) > 0
        except BlockingIOError:
            return False

    def end(self, pid: int, *, by_force: bool = True) -> tuple[int, float, int]:
        """Wait for a program's main process, and end all processes that it left.

        Without `by_force` the main process must have ended already. Returns its wait status, CPU seconds and KiB of memory.
        """
        if by_force or not self.owns_processes:
            # Before waiting: until then its id cannot name another process group.
            self._kill(pid)
        ended = wait(pid)
        if not self.owns_processes:
            end_children()
            return ended
        # All processes that it left are children of this process by now.
        while reap() >= 0:
            self._kill(-1)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)
        return ended

    def _kill(self, pid: int) -> None:
        """Kill those of a program's processes that one call can name."""
        with contextlib.suppress(ProcessLookupError):
            if self.owns_processes:
                os.kill(-1, signal.SIGKILL)
            else:
                os.killpg(pid, signal.SIGKILL)

    def clean(self) -> None:
        """Empty the programs' folder."""
        folder = stat(self.work)
        # By numbers: attributes are objects in pages of their own. The size of a folder in memory depends on its content.
        if self.in_namespaces and folder[ST_SIZE] == self._empty_folder[0] and folder[ST_MODE] == self._empty_folder[1]:
            return
        os.chmod(self.work, self._empty_folder[1] & 0o7777)
        empty(self.work)

    def read(self, fields: bytes) -> Request:
        """Parse a request's fields, or return the request of the same fields that came before."""
        if fields not in self.requests:
            # The worker counts as a process of the programs' user, unless they have a different one.
            others = -1 if not self.owns_processes else 0 if self.switches_user else 1
            if len(self.requests) >= _MAX_REQUESTS:
                self.requests.clear()
            self.requests[fields] = Request(fields, self._base_bytes, others)
        return self.requests[fields]

    def add_runner(self, name: str, sources: memoryview) -> None:
        """Load a runner once; forked programs have it in memory. Its sources are JSON."""
        try:
            self.runners[name] = runner.load(name, json.loads(bytes(sources)))
        except BaseException as error:
            self.broken_runners[name] = f"{type(error).__name__}: {error}"


def end_children() -> None:
    """Kill all children of this process, and the orphans that become its children by that."""
    while True:
        children: list[int] = []
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/children") as file:
                children += [int(text) for text in file.read().split()]
        if not children:
            return
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def reap_children() -> None:
    """Wait for the children that have already ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def empty(folder: str) -> None:
    """Remove everything in a folder, however deep, even if a program has removed the permissions.

    Folders are moved up before they are emptied, so that no path is longer than two names, and no number of open folders or
    nested calls is needed.
    """
    moved, waiting = 0, [folder]
    while waiting:
        current = waiting.pop()
        os.chmod(current, os.stat(current).st_mode & 0o7777 | 0o700)
        for name in os.listdir(current):
            path = f"{current}/{name}"
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
                continue
            os.chmod(path, 0o700)
            while os.path.lexists(target := f"{folder}/{moved}"):
                moved += 1
            os.rename(path, target)
            waiting.append(target)
        if current != folder:
            os.rmdir(current)


def _is_public(path: str) -> bool:
    """Return whether every user can reach a path."""
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & 0o001:
            return False
    return True
