"""Supervise one command, so that none of its processes outlives the run.

`pipeline run` starts every command as `python -m pipelines.run.supervisor LOG SCRATCH GRACE -- COMMAND …`. The supervisor
runs the command in a new session and ends all of its descendants when the command ends, on SIGTERM, and when its standard
input closes, which happens when `pipeline run` dies. Then it removes the run's temporary files and writes the outcome as
one JSON line.

Ray's agents (`ray::DashboardAgent`, `ray::RuntimeEnvAgent`) outlive a killed driver in sessions of their own. The kernel
re-parents such orphans to the supervisor (PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from pipelines.run.scratch import remove_scratch
from pipelines.run.stuck import KILL_SECONDS, describe_stuck

_SWEEP_SECONDS = 1.0

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run the command; return 0 once all processes have ended, whatever the command's status."""
    log, scratch, grace, separator, *argv = arguments
    if separator != "--" or not argv:
        raise SystemExit("usage: python -m pipelines.run.supervisor LOG SCRATCH GRACE -- COMMAND ...")
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake = _signals_as_bytes()
    Path(scratch).mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with Path(log).open("ab") as sink:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=_die_with_supervisor,  # noqa: PLW1509 (this process has one thread)
            )
    except OSError as error:
        remove_scratch(Path(scratch))
        return _report(None, [], f"{argv[0]}: {error.strerror}")
    status, stopped = _watch(child, wake, float(grace))
    orphans = [] if stopped else list(_descendants().values())
    stuck = end_descendants(_SWEEP_SECONDS)
    if not stuck:
        remove_scratch(Path(scratch))
    return _report(status, orphans, stuck=stuck)


def _watch(child: subprocess.Popen[bytes], wake: int, grace: float) -> tuple[int | None, bool]:
    """Wait for the end of the command; return its status and whether the supervisor stopped it."""
    deadline: float | None = None
    while True:
        status = _reap(child.pid)
        if status is not None:
            return status, deadline is not None
        if deadline is not None and time.monotonic() > deadline:
            return None, True
        readable, _, _ = select.select([wake] if deadline else [wake, sys.stdin], [], [], 0.1 if deadline else None)
        signals = os.read(wake, 4096) if wake in readable else b""
        if deadline is None and (sys.stdin in readable or signal.SIGTERM in signals):
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace


def _reap(pid: int) -> int | None:
    """Reap every child that has ended, adopted ones too; return the exit status of `pid` if it is among them."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if ended == 0:
            return found
        if ended == pid:
            found = os.waitstatus_to_exitcode(status)


def end_descendants(grace: float, kill: float = KILL_SECONDS) -> list[str]:
    """End every descendant of this process: SIGTERM, then SIGKILL until none is left.

    Args:
        grace: Seconds between the two.
        kill: Seconds after which the remaining ones are given up.

    Returns:
        The processes that cannot be ended.
    """
    deadline = time.monotonic() + grace
    for process in _descendants():
        _signal(process, signal.SIGTERM)
    while alive := _descendants():
        if time.monotonic() > deadline + kill:
            return [describe_stuck(process) for process in alive]
        if time.monotonic() > deadline:
            for process in alive:
                _signal(process, signal.SIGKILL)
        time.sleep(0.02)
    return []


def _descendants() -> dict[psutil.Process, str]:
    """Return the descendants that are alive: process -> name."""
    _reap(-1)
    found = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found[process] = process.name()
    return found


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _signals_as_bytes() -> int:
    """Deliver signals as bytes on a pipe, so that one select waits for them and for standard input."""
    wake, sink = os.pipe()
    os.set_blocking(sink, False)
    signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # `pipeline run` handles the terminal's signals
    return wake


def _die_with_supervisor() -> None:
    """Make the command end when its supervisor is killed. Runs in the command's process before exec."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    """Set a flag of this process; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _report(status: int | None, orphans: list[str], error: str = "", stuck: Sequence[str] = ()) -> int:
    try:
        print(json.dumps({"status": status, "orphans": orphans, "error": error, "stuck": list(stuck)}), flush=True)
    except BrokenPipeError:
        os.close(sys.stdout.fileno())  # the reader has gone
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
