"""Processes that do not end after SIGKILL."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

KILL_SECONDS = 60.0
"""Time for processes to end after SIGKILL. Freeing a large memory takes seconds; a process that waits in the kernel, for a GPU
driver or a file server that does not answer, may never end."""


def describe_stuck(process: psutil.Process) -> str:
    """Return a process that does not end, with what it waits for: `python (pid 7, state disk-sleep in rpc_wait_bit)`."""
    import psutil

    name, state, place = "a process", "unknown", ""
    with suppress(psutil.Error):
        name, state = process.name(), process.status()
    with suppress(OSError):
        waits = Path(f"/proc/{process.pid}/wchan").read_text(encoding="ascii").strip("0\n")
        place = f" in {waits}" if waits else ""
    return f"{name} (pid {process.pid}, state {state}{place})"
