"""A request's resource limits: set before a program starts, and watched while it runs."""

from __future__ import annotations

import json
import math
import os
import resource
import time

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_COMMON_LIMITS = {
    # For deep recursion in C, as in sorting or regular expressions; small enough for the address space limit.
    resource.RLIMIT_STACK: 64 << 20,
    # Sockets and pipes use kernel memory that no limit of a process counts.
    resource.RLIMIT_NOFILE: 128,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_MEMLOCK: 0,
}


class Request:
    """A request to a worker, parsed once and kept for all programs with the same fields."""

    __slots__ = ("cpu_seconds", "fields", "memory_bytes", "output_bytes", "prepared", "uses", "wall_seconds")

    def __init__(self, text: bytes, base_bytes: int, others: int) -> None:
        """Parse a request.

        Args:
            text: the fields as JSON.
            base_bytes: address space of the warm interpreter before the program starts.
            others: processes of the program's user besides its own; -1 if the kernel cannot count them separately.
        """
        self.fields = json.loads(text)
        self.uses: str | None = self.fields.get("uses")
        """The runner to call with the code."""
        limits = self.fields.get("limits")
        if limits is None:
            return
        self.cpu_seconds = float(limits["cpu_seconds"])
        self.wall_seconds = float(limits["wall_seconds"])
        self.memory_bytes = int(limits["memory_mb"]) << 20
        self.output_bytes = int(limits["output_bytes"])
        values = {
            # One second more than is watched for: the kernel counts whole seconds, and gives no reason when it kills.
            resource.RLIMIT_CPU: math.ceil(limits["cpu_seconds"]) + 1,
            resource.RLIMIT_AS: base_bytes + self.memory_bytes,
            resource.RLIMIT_FSIZE: int(limits["file_mb"]) << 20,
        }
        if others >= 0:
            values[resource.RLIMIT_NPROC] = int(limits["processes"]) + others
        capped = {kind: _cap(value, resource.getrlimit(kind)[1]) for kind, value in values.items()}
        self.prepared = [(kind, (value, value)) for kind, value in capped.items()]


def apply_common_limits() -> None:
    """Set the limits that are the same for all programs and do not affect a worker."""
    for kind, value in _COMMON_LIMITS.items():
        hard = resource.getrlimit(kind)[1]
        value = _cap(value, hard)
        # A program may ask for a larger stack.
        resource.setrlimit(kind, (value, hard if kind == resource.RLIMIT_STACK else value))


def set_soft_limits(pid: int, request: Request) -> None:
    """Set the limits of another process for one call. The process itself cannot change them (see `seccomp`)."""
    for kind, (value, _) in request.prepared:
        if kind != resource.RLIMIT_CPU:
            hard = resource.prlimit(pid, kind)[1]
            resource.prlimit(pid, kind, (_cap(value, hard), hard))


def _cap(value: int, hard: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def read_stat(proc: int, pid: str | int) -> list[bytes] | None:
    """Return the fields of /proc/PID/stat after the process's name, which may contain anything; None if it has ended."""
    try:
        descriptor = os.open(f"{pid}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return None
    try:
        return os.read(descriptor, 1024).rpartition(b")")[2].split()
    except OSError:
        return None
    finally:
        os.close(descriptor)


class Usage:
    """What the processes of one program have used, read from a /proc that shows no others.

    `proc` is a descriptor of that /proc; with -1 only the `main` process is measured. The first process is not counted. Of
    `earlier`, a process that has run before, only what it uses from now on is counted.
    """

    def __init__(self, proc: int, main: int, earlier: int = 0) -> None:
        self._proc = proc
        self._main = main
        self._earlier, self._earlier_ticks, self._earlier_pages = earlier, 0, 0
        if proc >= 0 and earlier:
            self._earlier_ticks, self._earlier_pages = self._read(earlier)
        # A session's process may have run before.
        self._before = self._measure_main() if proc < 0 else 0.0

    def measure(self) -> tuple[float, int]:
        """Return CPU seconds of the live processes and their ended children, and resident bytes of the live ones."""
        if self._proc < 0:
            return self._measure_main() - self._before, 0
        ticks, pages = -self._earlier_ticks, 0
        for name in os.listdir(self._proc):
            if name.isdigit() and name != "1":
                used, held = self._read(name)
                ticks += used
                pages += max(0, held - self._earlier_pages) if int(name) == self._earlier else held
        return ticks / _TICKS, pages * _PAGE

    def _read(self, pid: str | int) -> tuple[int, int]:
        fields = read_stat(self._proc, pid)
        return (sum(map(int, fields[11:15])), int(fields[21])) if fields else (0, 0)

    def _measure_main(self) -> float:
        try:
            # (~pid << 3) | 2 is the CPU clock of a process (clock_getcpuclockid(3)).
            return time.clock_gettime((~self._main << 3) | 2)
        except OSError:
            return 0.0
