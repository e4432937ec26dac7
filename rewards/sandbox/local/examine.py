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


def _find_offered() -> list[tuple[str, str]]:
    command, root = [sys.executable, "-c", _TRY_NAMESPACES], Path(__file__).resolve().parents[3]
    tried = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    last = tried.stderr.strip().rpartition("\n")[2]
    try:
        compile_filter(forks=True, signals=True)
        filters = "yes, with libseccomp"
    except NoFilterError as error:
        filters = f"no: {error}"
    version, bubblewrap = kernel.landlock_version(), shutil.which("bwrap")
    return [
        ("namespaces", "yes" if tried.returncode == 0 else f"no: {last}"),
        ("seccomp", filters),
        ("Landlock", f"yes, ABI {version}" if version else "no"),
        ("bubblewrap", f"{bubblewrap}, not needed" if bubblewrap else "not installed, not needed"),
    ]


if __name__ == "__main__":
    print(json.dumps(examine()))
