"""Notice that a trainer is stuck: no metric, no line of log and no CPU time for a while."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_BUSY = 0.2
"""Share of a core above which a process works. Idle processes of Ray and vLLM poll with a few hundredths."""

_BUSY_FACTOR = 4.0
"""How much longer a trainer may be silent while it works. A process that waits for a GPU or a collective operation may spin
at full speed, so CPU time alone is no sign of progress for ever."""

_SAMPLES = 20
"""Looks at CPU times within the limit."""


class StallWatch:
    """Watch one attempt.

    Args:
        minutes: how long it may show no sign of progress; None: for ever.
        log: its log.
        is_elsewhere: whether it works on other machines, too, whose CPU times are not seen here.
        now: the time it started, in seconds.
    """

    def __init__(self, minutes: float | None, log: Path, now: float, *, is_elsewhere: bool = False) -> None:
        self._limit = None if minutes is None else minutes * 60
        self._log = log
        self._is_elsewhere = is_elsewhere
        self._signs: tuple[float, int] | None = None
        self._loud = now
        """When the last metric or line came."""
        self._active = now
        """When the last sign of any kind came."""
        self._looked = now
        self._times: dict[int, float] = {}

    def check(self, now: float, step: float, supervisor: int) -> str | None:
        """Return why the trainer is considered stuck; None: it is not.

        Args:
            now: the time in seconds.
            step: its newest step.
            supervisor: the process whose descendants it is.
        """
        if self._limit is None:
            return None
        signs = (step, self._log.stat().st_size if self._log.exists() else 0)
        if signs != self._signs:
            self._signs, self._loud, self._active = signs, now, now
        if now - self._looked >= self._limit / _SAMPLES:
            times = cpu_times(supervisor)
            if self._is_elsewhere or works(self._times, times, now - self._looked):
                self._active = now
            self._times, self._looked = times, now
        if now - self._active >= self._limit:
            return f"no metric, no line of log and no CPU time for {show_minutes(now - self._active)}"
        if now - self._loud >= self._limit * _BUSY_FACTOR:
            return f"no metric and no line of log for {show_minutes(now - self._loud)}, {_BUSY_FACTOR:g} x stall_minutes"
        return None


def show_minutes(seconds: float) -> str:
    """Return `30 minutes`, or seconds below two minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def works(before: Mapping[int, float], after: Mapping[int, float], seconds: float) -> bool:
    """Return whether a process used a CPU between two looks at the CPU times of all; a new process counts."""
    return any(time - before.get(pid, 0.0) >= _BUSY * seconds for pid, time in after.items())


def cpu_times(pid: int) -> dict[int, float]:
    """Return the seconds for which each descendant of a process used a CPU, or waited for one on a busy machine."""
    import psutil

    found = {}
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found[process.pid] = times.user + times.system + _waited(process.pid)
    return found


def _waited(pid: int) -> float:
    """Return the seconds for which the threads of a process were ready to run; 0 where the kernel does not count them."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):
            total += int(thread.read_text(encoding="ascii").split()[1])
    return total / 1e9
