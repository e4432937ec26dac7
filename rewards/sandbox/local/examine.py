"""What this Python and this kernel make of the sandbox, tried and measured: `python -m rewards.sandbox.local.examine`."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Literal

from rewards.sandbox.base import SandboxError
from rewards.sandbox.local.inside import kernel
from rewards.sandbox.local.isolation import Kind
from rewards.sandbox.local.sandbox import LocalSandbox
from rewards.sandbox.local.seccomp import NoFilterError, compile_filter
from rewards.sandbox.program import Program

_TRIES = 200
_TRY = (
    "import sys; sys.path.insert(0, sys.argv[1]); from rewards.sandbox.local.inside import kernel; "
    "kernel.unshare(kernel.NEW_USER | kernel.NEW_PIDS | kernel.NEW_MOUNTS | kernel.NEW_NETWORK | kernel.NEW_IPC)"
)


@dataclass
class Report:
    """What was found. Lists are of (facility, what is said of it)."""

    python: str = sys.executable
    offered: list[tuple[str, str]] = field(default_factory=list)
    """What the machine has, whether it is used or not."""
    in_force: list[tuple[str, str]] = field(default_factory=list)
    """What isolates programs here; empty where none is sound."""
    measured: list[tuple[str, str]] = field(default_factory=list)
    problem: str = ""
    """Why there is no sound sandbox; empty where there is one."""


def examine(isolation: Literal["strong", "weak"] = "strong", kind: Kind | None = None) -> Report:
    """Opens a sandbox, runs programs in it, and closes it again."""
    report = Report(offered=find_offers())
    begun = time.monotonic()
    sandbox = LocalSandbox(workers=1, isolation=isolation, kind=kind)
    try:
        sandbox.run_blocking(Program(""))
        started = time.monotonic() - begun
        report.in_force = sandbox.describe()
        begun = time.monotonic()
        asyncio.run(sandbox.run_many([Program("print(1)")] * _TRIES))
        each = (time.monotonic() - begun) / _TRIES
        total, alone = sandbox.measure_memory()
        report.measured = [
            ("start", f"{started:.2f} s, to the end of the first program"),
            ("program", f"{each * 1000:.1f} ms for one that prints a number, {1 / each:.0f}/s by one worker"),
            ("memory", f"{total / 2**20:.0f} MiB with one idle worker; an idle worker alone: {alone / 2**20:.1f} MiB"),
        ]
    except SandboxError as error:
        report.problem = str(error)
    finally:
        sandbox.close()
    return report


def find_offers() -> list[tuple[str, str]]:
    """What this machine has to isolate programs with."""
    from pathlib import Path

    root = str(Path(__file__).resolve().parents[3])
    tried = subprocess.run([sys.executable, "-c", _TRY, root], capture_output=True, text=True, check=False)
    last = tried.stderr.strip().rpartition("\n")[2]
    try:
        compile_filter(forks=True, signals=True)
        filters = "yes, with libseccomp"
    except NoFilterError as error:
        filters = f"no: {error}"
    version = kernel.landlock_version()
    wrapper = shutil.which("bwrap")
    return [
        ("namespaces", "yes" if tried.returncode == 0 else f"no: {last}"),
        ("seccomp", filters),
        ("Landlock", f"yes, ABI {version}" if version else "no"),
        ("bubblewrap", f"{wrapper}, not needed: the namespaces are made here" if wrapper else "not installed, not needed"),
    ]


if __name__ == "__main__":
    print(json.dumps(asdict(examine())))
