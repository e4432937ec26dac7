"""`owner`: the process that works in a run directory."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.digests import write_atomically
from pipelines.errors import InputError

FILE = "owner"

_SECONDS = 1.0
"""Difference at which two start times of a process are those of two processes: they are derived from the clock."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a run directory."""

    pid: int
    host: str
    started: float
    """Seconds since the epoch; 0: unknown."""

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs; assumed for another machine."""
        import psutil

        if not self.is_here:
            return True
        try:
            process = psutil.Process(self.pid)
            same = not self.started or abs(process.create_time() - self.started) < _SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def interrupt(self) -> None:
        """Send it SIGINT, as Ctrl-C does; nothing if it has ended.

        Raises:
            InputError: It belongs to another user.
        """
        import psutil

        try:
            process = psutil.Process(self.pid)
            if self.is_alive:
                # psutil refuses a number that another process has been given.
                process.send_signal(signal.SIGINT)
        except psutil.NoSuchProcess:
            return
        except psutil.AccessDenied:
            raise InputError(f"{self} belongs to another user") from None

    def __str__(self) -> str:
        return f"process {self.pid}" if self.is_here else f"process {self.pid} of {self.host}"


def read_holder(directory: Path) -> Holder | None:
    """Return the process that holds the run directory; None if none does, or it has ended."""
    try:
        words = (directory / FILE).read_text(encoding="utf-8").split()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    with suppress(ValueError, IndexError):
        # Version 0.2 and earlier wrote the process only.
        host, started = (words[1], float(words[2])) if len(words) > 1 else (socket.gethostname(), 0.0)
        holder = Holder(int(words[0]), host, started)
        return holder if holder.is_alive else None
    return None


@contextmanager
def hold(directory: Path, command: str = "pipeline run") -> Iterator[None]:
    """Hold the run directory for this process.

    Args:
        directory: The folder; made if it is missing.
        command: The command that uses such folders, for the error.

    Raises:
        InputError: Another process holds it; the message has its process id.
    """
    import psutil
    from filelock import FileLock, Timeout

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the run directory {directory}: {error.strerror}") from None
    lock = FileLock(directory / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = read_holder(directory) or "process unknown"
        raise InputError(f"{directory} is in use by another `{command}`, {holder}") from None
    try:
        started = psutil.Process().create_time()
        write_atomically(directory / FILE, f"{os.getpid()} {socket.gethostname()} {started}\n")
        yield
    finally:
        (directory / FILE).unlink(missing_ok=True)
        lock.release()
