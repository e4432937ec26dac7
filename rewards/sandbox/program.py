"""Program, Limits and Execution: what to run, what it may use, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal["ok", "error", "timeout", "memory", "output", "killed"]
"""How a program ended.

ok: exit status 0. error: another exit status, including an uncaught exception. timeout: over its CPU or wall time.
memory: over its memory. output: over the limit of its standard output. killed: by a signal, including a segmentation fault.
"""


_OUTPUT_STEP = 1_000_000


@dataclass(frozen=True, slots=True)
class Program:
    """Untrusted Python source and its standard input."""

    code: str
    stdin: str = ""
    runner: str | None = None
    """Dotted name of a trusted module or package. Its `main(code)` is called in the program's process instead of running
    the code as `__main__`, with the program's standard input and output. It imports only the standard library and, in a
    package, its own modules, at the top of its files: it is loaded once, and a program cannot import these modules."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution may use: all its processes together, except where stated."""

    cpu_seconds: float = 5.0
    """CPU time. This is the main limit: it does not depend on the load of the machine."""
    wall_seconds: float = 30.0
    """Wall time, for programs that sleep. Generous, because a busy machine must not fail a correct program."""
    memory_mb: int = 1024
    """MiB: address space of each process, and resident memory of all."""
    processes: int = 64
    """Processes and threads at one time."""
    file_mb: int = 64
    """MiB of each file. In namespaces, the local sandbox limits all files together to 64 MiB."""
    output_bytes: int = 1_000_000
    """Bytes of standard output. Of a longer standard error the end is kept."""

    def allow_output(self, output_bytes: int) -> Limits:
        """Return the same limits with at least this much output, in steps: a worker parses equal limits once."""
        return replace(self, output_bytes=-(-output_bytes // _OUTPUT_STEP) * _OUTPUT_STEP)


@dataclass(frozen=True, slots=True)
class Execution:
    """How a program ended and what it wrote."""

    verdict: Verdict
    output: str = ""
    """Standard output as UTF-8, with invalid bytes replaced; cut at the limit."""
    error: str = ""
    """Standard error, likewise; its end, if it is over the limit."""
    status: int | None = None
    """Exit status, or minus the number of the signal that ended it; None if the sandbox ended it."""
    seconds: float = 0.0
    """Wall time."""
    cpu_seconds: float | None = None
    """CPU time; None if the sandbox does not measure it."""
    value: str | None = None
    """In a session: `repr` of the last expression, if the code ends with an expression that is not None."""
