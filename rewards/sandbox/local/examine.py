"""Report what this Python and this kernel offer the sandbox, as JSON: `python -m rewards.sandbox.local.examine`."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rewards.sandbox.base import SandboxError
from rewards.sandbox.local.inside import kernel
from rewards.sandbox.local.sandbox import LocalSandbox
from rewards.sandbox.local.seccomp import NoFilterError, compile_filter
from rewards.sandbox.program import Program

_TRIES = 200
_LANDLOCK_SINCE = {
    2: "moving files between folders (5.19; always refused)",
    3: "truncation by path (6.2; seccomp refuses it)",
    4: "TCP (6.7; seccomp refuses sockets)",
    5: "ioctl on devices (6.10; programs can open none)",
    6: "signals (6.12; seccomp refuses them)",
}
"""Landlock ABI -> what it knows first, its Linux version, and what holds before."""
_TRY_NAMESPACES = (
    "from rewards.sandbox.local.inside import kernel as k; "
    "k.unshare(k.NEW_USER | k.NEW_PIDS | k.NEW_MOUNTS | k.NEW_NETWORK | k.NEW_IPC)"
)


def examine() -> dict[str, Any]:
    """Open a sandbox, run programs in it, and close it.

    Returns:
        `offered`: what the machine has, used or not; `in_force`: what isolates programs; `measured`; all three as lists of
        (facility, description). `problem`: why no sound sandbox is available, else empty.
    """
    report: dict[str, Any] = {"offered": _find_offered(), "in_force": [], "measured": [], "problem": ""}
    begun = time.monotonic()
    sandbox = LocalSandbox(workers=1)
    try:
        sandbox.run_blocking(Program(""))
        started = time.monotonic() - begun
        report["in_force"] = sandbox.describe()
        begun = time.monotonic()
        asyncio.run(sandbox.run_many([Program("print(1)")] * _TRIES))
        each = (time.monotonic() - begun) / _TRIES
        total, alone = sandbox.measure_memory()
        report["measured"] = [
            ("start", f"{started:.2f} s, to the end of the first program"),
            ("program", f"{each * 1000:.1f} ms for one that prints a number, {1 / each:.0f}/s with one worker"),
            ("memory", f"{total / 2**20:.0f} MiB with one idle worker; the idle worker alone: {alone / 2**20:.1f} MiB"),
        ]
    except SandboxError as error:
        report["problem"] = str(error)
    finally:
        sandbox.close()
    return report


def describe_landlock(version: int) -> str:
    """Return what a Landlock ABI offers and what it leaves to seccomp, for display."""
    if not version:
        return "no; it is in Linux 5.13 and later, and `lsm=` of the kernel's command line may leave it out"
    missing = [what for since, what in _LANDLOCK_SINCE.items() if version < since]
    return f"yes, ABI {version}" + (f"; this kernel's does not know {', '.join(missing)}" if missing else "")


def _find_offered() -> list[tuple[str, str]]:
    command, root = [sys.executable, "-c", _TRY_NAMESPACES], Path(__file__).resolve().parents[3]
    tried = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    last = tried.stderr.strip().rpartition("\n")[2]
    try:
        compile_filter(forks=True, signals=True, own_files=True)
        filters = "yes, with libseccomp"
    except NoFilterError as error:
        filters = f"no: {error}"
    bubblewrap = shutil.which("bwrap")
    return [
        ("namespaces", "yes" if tried.returncode == 0 else f"no: {last}"),
        ("seccomp", filters),
        ("Landlock", describe_landlock(kernel.landlock_version())),
        ("bubblewrap", f"{bubblewrap}, not needed" if bubblewrap else "not installed, not needed"),
    ]


if __name__ == "__main__":
    print(json.dumps(examine()))
