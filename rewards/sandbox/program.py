"""Program, Limits and Execution: what is run, what it may use, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "error", "timeout", "memory", "output", "killed"]
"""How a program ended.

ok: with status 0. error: with another status, an uncaught exception included. timeout: past its CPU or wall time.
memory: past its memory. output: past its output. killed: by a signal, a segmentation fault included.
"""


@dataclass(frozen=True, slots=True)
class Program:
    """Python source that nobody trusts, and what it reads."""

    code: str
    stdin: str = ""
    runner: str | None = None
    """A module or package of ours, by its dotted name, whose `main(code)` is called in the program's process in place of
    running the code as `__main__`. It is trusted. It imports the standard library and, where it is a package, what lies
    in it, at the top of its files: it is loaded once, and its own names cannot be imported when a program runs. Its
    standard input and output are the program's."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution may use, all of its processes together where no other is said."""

    cpu_seconds: float = 5.0
    """CPU time: what a program is judged by, whatever else the machine does."""
    wall_seconds: float = 30.0
    """Time from start to end, for programs that sleep; generous, because a busy machine must not fail a right program."""
    memory_mb: int = 1024
    """MiB, of address space for one process and of resident memory for all."""
    processes: int = 32
    """Processes and threads at one time."""
    file_mb: int = 64
    """MiB of one file; all of them together get 64 from the local sandbox in namespaces."""
    output_bytes: int = 1_000_000
    """Bytes written to standard output, and as many to standard error."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a program ended and what it wrote."""

    verdict: Verdict
    output: str = ""
    """Standard output, as UTF-8 with what is none replaced; cut at the limit."""
    error: str = ""
    """Standard error, likewise."""
    status: int | None = None
    """Exit status, or minus the number of the signal that ended it; None where the sandbox ended it."""
    seconds: float = 0.0
    """Wall time."""
    cpu_seconds: float | None = None
    """CPU time; None where the sandbox does not know it."""
    value: str | None = None
    """In a session: `repr` of the last expression, where the code ends with one that is not None."""
