"""What the processes of one program use: counted by the worker's groups or, where it has none, read from /proc."""

from __future__ import annotations

import os
import time

from rewards.sandbox.local.inside.worker import Worker

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage:
    """What a program, or a call of a session, uses from now on.

    Args:
        worker: It runs no other program.
        main: The program's first process.
        is_session: Whether that process holds the variables of earlier calls, which do not count. What it used after the last
            call does.
    """

    def __init__(self, worker: Worker, main: int, *, is_session: bool = False) -> None:
        self._worker = worker
        self.is_measured = False
        """Whether `measure` has been called: the program was not short."""
        counted = worker.groups.counted
        self._counts_cpu, self._counts_memory = "cpu" in counted, "memory" in counted
        if self._counts_cpu:
            # Not since the last program that was measured: short ones are not.
            self._cpu_before = worker.idle_cpu if is_session else worker.groups.read_cpu()
        self._bytes_before = worker.idle_bytes
        self._processes = None
        if not (self._counts_cpu and self._counts_memory):
            self._processes = _Processes(worker.proc, main, main if is_session else 0)

    def measure(self) -> tuple[float, int]:
        """Return CPU seconds of all processes, ended or not, and bytes of memory."""
        self.is_measured = True
        cpu, memory = self._processes.measure() if self._processes is not None else (0.0, 0)
        if self._counts_memory:
            memory = self._worker.read_memory() - self._bytes_before
        counted = self.read_cpu()
        return cpu if counted is None else counted, memory

    def read_cpu(self) -> float | None:
        """Return the CPU seconds of all processes, None if no group counts them."""
        return self._worker.groups.read_cpu() - self._cpu_before if self._counts_cpu else None


class _Processes:
    """The processes of one program, read from a /proc that shows no others.

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
