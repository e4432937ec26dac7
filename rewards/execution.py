"""Running a program that nobody trusts: `run_python` is the one place where this package starts a process.

A first simple version, and a weak one: the program gets limits on CPU time, memory, file size and output, a temporary
folder of its own, and, where the kernel lets an ordinary process have them, its own user, network and process
namespaces (no network; whatever it leaves behind dies with it). It still sees the files of the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Verdict = Literal["ok", "error", "timeout", "output"]

_LAUNCHER = Path(__file__).parent / "inside" / "launcher.py"
_SIGNALLED = 128


@dataclass(frozen=True)
class Limits:
    """What a program may use."""

    cpu_seconds: float = 5.0
    """Seconds of CPU time, rounded up to whole ones."""
    wall_seconds: float = 20.0
    """Seconds from start to end; generous, because a busy machine must not turn a right program into a wrong one."""
    memory_mb: int = 1024
    """Address space in MiB."""
    output_bytes: int = 1_000_000
    """Longest output; also the largest file it may write."""


@dataclass(frozen=True)
class Execution:
    """How a program ended and what it wrote to its standard output."""

    verdict: Verdict
    """ok: it ended with status 0; error: with another; timeout: past its time; output: past its output."""
    output: str


def run_python(program: str, stdin: str = "", limits: Limits | None = None) -> Execution:
    """Runs the source text `program` in a fresh interpreter that has the standard library only.

    Args:
        program: Python source; runs as `__main__` with a fixed hash seed.
        stdin: what it reads from its standard input.
        limits: what it may use.
    """
    limits = limits or Limits()
    folder = Path(tempfile.mkdtemp(prefix="reward-"))
    try:
        work = folder / "work"
        work.mkdir()
        for name, text in (("program.py", program), ("stdin", stdin)):
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        with (folder / "stdin").open("rb") as source, (folder / "stdout").open("wb") as sink:
            # -S and -P: no packages, nothing imported from the folder it runs in.
            process = subprocess.Popen(
                [sys.executable, "-S", "-P", str(_LAUNCHER), str(folder / "program.py"), json.dumps(asdict(limits))],
                stdin=source,
                stdout=sink,
                stderr=subprocess.DEVNULL,
                cwd=work,
                env={"PATH": "/usr/bin:/bin", "HOME": str(work), "TMPDIR": str(work), "PYTHONHASHSEED": "0"},
                start_new_session=True,
            )
            ended = _wait(process, limits.wall_seconds)
            _end_group(process)
        with (folder / "stdout").open("rb") as result:
            output = result.read(limits.output_bytes + 1)
        return Execution(_judge(process.returncode, ended, output, limits), output.decode("utf-8", errors="replace"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    # Popen.wait with a timeout polls at up to 50 ms; a process descriptor wakes us at once, in any thread.
    descriptor = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    # The leader is not reaped yet, so its number still names this group and no other.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _judge(status: int, ended: bool, output: bytes, limits: Limits) -> Verdict:
    if len(output) >= limits.output_bytes:
        return "output"
    # SIGKILL is the CPU limit's: nobody else sends it before the end.
    if not ended or status in {_SIGNALLED + signal.SIGKILL, -signal.SIGKILL, _SIGNALLED + signal.SIGXCPU, -signal.SIGXCPU}:
        return "timeout"
    return "ok" if status == 0 else "error"
