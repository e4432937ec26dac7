"""What a program may use: put in force before it begins, and watched while it runs."""

from __future__ import annotations

import math
import os
import resource
import time
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STACK = 64 << 20
"""Deep recursion in C, as sorting or regular expressions may need it; what an address space has room for."""

_OPEN_FILES = 128
"""Sockets and pipes hold memory of the kernel's, which no limit of a process counts."""


def put_common_in_force() -> None:
    """Sets the limits that are the same for every program and do not hinder a worker."""
    for kind, most in (
        (resource.RLIMIT_STACK, _STACK),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def prepare(limits: dict[str, Any], base_bytes: int, others: int) -> list[tuple[int, tuple[int, int]]]:
    """The limits that the kernel keeps for each process, ready to be set.

    Args:
        limits: the fields of `Limits`.
        base_bytes: address space that the warm interpreter takes before the program.
        others: processes of the program's user beside its own; -1 where they cannot be counted apart.
    """
    memory = base_bytes + (int(limits["memory_mb"]) << 20)
    # A second more than is watched for: the kernel counts whole seconds, and kills without a word.
    most = {
        resource.RLIMIT_CPU: math.ceil(limits["cpu_seconds"]) + 1,
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: int(limits["file_mb"]) << 20,
    }
    if others >= 0:
        most[resource.RLIMIT_NPROC] = int(limits["processes"]) + others
    return [(kind, (value, value)) for kind, value in most.items()]


def put_in_force(prepared: list[tuple[int, tuple[int, int]]]) -> None:
    """Sets them for this process and its children, for good."""
    for kind, values in prepared:
        resource.setrlimit(kind, values)


def put_in_force_softly(prepared: list[tuple[int, tuple[int, int]]]) -> None:
    """Sets them so that a later call may have others; a program can take them back, and is watched all the same.

    No process without privileges can raise what was set for good.
    """
    for kind, (value, _) in prepared:
        if kind != resource.RLIMIT_CPU:
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


class Usage:
    """What the processes of one program have used so far, read from a /proc that shows no others."""

    def __init__(self, proc: int, main: int, spared: tuple[int, ...] = ()) -> None:
        self._proc = proc
        self._main = main
        self._spared = {1, *spared}
        self._before = 0.0
        if proc < 0:  # a process that has run before, as a session's may have
            self._before = self.measure()[0]

    def measure(self) -> tuple[float, int]:
        """CPU seconds of all that live and of their children that ended; resident bytes of all that live."""
        if self._proc < 0:
            # (~pid << 3) | 2 is the clock of all of a process's threads (clock_getcpuclockid(3)).
            try:
                return time.clock_gettime((~self._main << 3) | 2) - self._before, 0
            except OSError:
                return 0.0, 0
        ticks, pages = 0, 0
        for name in os.listdir(self._proc):
            if not name.isdigit() or int(name) in self._spared:
                continue
            try:
                descriptor = os.open(f"{name}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
            except OSError:
                continue
            try:
                text = os.read(descriptor, 1024)
            except OSError:
                continue
            finally:
                os.close(descriptor)
            # The name in parentheses may hold anything; what follows it are numbers (proc(5)).
            fields = text.rpartition(b")")[2].split()
            ticks += sum(map(int, fields[11:15]))
            pages += int(fields[21])
        return ticks / _TICKS, pages * _PAGE
