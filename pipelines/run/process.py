"""Run one command under a supervisor, and end orphaned processes of killed runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from pipelines.errors import StepError, Stopped
from pipelines.run.scratch import scratch_folder
from pipelines.run.stuck import KILL_SECONDS, describe_stuck
from pipelines.shipped import import_folder
from pipelines.trainers.base import OFFLINE
from pipelines.trainers.verl.attempt_files import RUN_DIRECTORY, SHARED_MEMORY_PREFIX

if TYPE_CHECKING:
    import psutil

MARK = RUN_DIRECTORY
"""The variable, set in every process of a run, that holds the run directory. It identifies orphaned processes."""

GRACE_SECONDS = 5.0
"""Time between SIGTERM and SIGKILL.

verl takes up to 7 s to shut Ray down; Ctrl-C is documented to take at most 10 s.
"""

_POLL_SECONDS = 0.5
_LAST_SECONDS = 4.0  # for the supervisor, on top of the grace


class SupervisorError(StepError):
    """The supervisor of a command was killed, and the command with it."""


class StuckError(StepError):
    """Processes cannot be ended, not even by SIGKILL."""

    def __init__(self, processes: Sequence[str]) -> None:
        super().__init__(
            f"cannot end {', '.join(processes)}: it waits in the kernel, usually for a GPU driver or a file server; "
            "only these, or a restart of the machine, can end it"
        )


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int | None
    """Its exit status, negative for a signal; None if it was killed with its descendants after the grace."""
    orphans: tuple[str, ...] = ()
    """Names of the processes that it left running; they have been ended."""


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
    run_directory: Path,
    poll: Callable[[], None] = lambda: None,
    watch: Callable[[int], None] = lambda supervisor: None,
    grace: float = GRACE_SECONDS,
) -> Outcome:
    """Run one command under a supervisor.

    Args:
        environment: variables on top of the caller's.
        poll: called twice a second while the command runs.
        watch: called after `poll` with the process whose descendants the command's processes are.
        grace: seconds between SIGTERM and SIGKILL when the command is stopped.

    Raises:
        StepError: the command could not be started.
        SupervisorError: its supervisor was killed.
        StuckError: processes cannot be ended.
        Stopped: a signal stopped it. Whatever a signal handler or `poll` raises is raised once all processes have ended.
    """
    scratch = scratch_folder(run_directory)
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "pipelines.run.supervisor", str(log), str(scratch), str(grace), "--", *argv],
        cwd=cwd,
        env=_complete_environment(argv, environment, run_directory),
        stdin=subprocess.PIPE,  # closes when this process dies, by whatever cause; the supervisor then ends the command
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches only this process, which ends the others in order
    )
    assert supervisor.stdin is not None and supervisor.stdout is not None
    try:
        while True:
            try:
                supervisor.wait(_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                poll()
                watch(supervisor.pid)
    finally:
        supervisor.stdin.close()
        try:
            supervisor.wait(grace + _LAST_SECONDS)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            end_orphans(run_directory, grace)
        answer = supervisor.stdout.read()
        supervisor.stdout.close()
    if not answer:
        end_orphans(run_directory, grace)
        raise SupervisorError("the supervisor of the step was killed; the step was ended with it")
    report = json.loads(answer)
    if report["error"]:
        raise StepError(f"cannot start {report['error']}")
    if report["stuck"]:
        raise StuckError(report["stuck"])
    return Outcome(report["status"], tuple(report["orphans"]))


def _complete_environment(argv: Sequence[str], environment: Mapping[str, str], run_directory: Path) -> dict[str, str]:
    """Return the caller's variables with the command's and this project's.

    The command's folder comes first on PATH, because upstreams start torchrun and ray by bare name. Temporary files go to
    the run's scratch folder, which the supervisor removes; its path is short because of Ray's sockets.
    """
    scratch = scratch_folder(run_directory)
    merged = {**os.environ, **environment}
    merged |= {name: os.environ[name] for name in OFFLINE if name in os.environ}
    merged["PATH"] = os.pathsep.join([str(Path(argv[0]).parent), merged.get("PATH", os.defpath)])
    merged["PYTHONPATH"] = os.pathsep.join([str(import_folder()), *filter(None, [merged.get("PYTHONPATH")])])
    ours = {"TMPDIR": str(scratch), "RAY_TMPDIR": str(scratch), SHARED_MEMORY_PREFIX: scratch.name, MARK: str(run_directory)}
    return merged | ours | {"PYTHONUNBUFFERED": "1"}


def end_orphans(run_directory: Path, grace: float = GRACE_SECONDS, kill: float = KILL_SECONDS) -> list[str]:
    """End the orphaned processes of a killed run of this directory; return their names.

    Raises:
        StuckError: some have not ended `kill` seconds after SIGKILL.
    """
    import psutil

    names: list[str] = []
    deadline = time.monotonic() + grace + kill
    while found := find_processes(run_directory):  # until none is found: a dying process may still start children
        if time.monotonic() > deadline:
            raise StuckError([describe_stuck(process) for process in found])
        names += found.values()
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(list(found), timeout=grace)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=grace)
    return names


def find_processes(run_directory: Path) -> dict[psutil.Process, str]:
    """Return the processes of a run except this one: process -> name."""
    import psutil

    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            marked = process.environ().get(MARK) == str(run_directory)
            if marked and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found[process] = process.name()
    return found


@contextmanager
def signals_as_stopped() -> Iterator[None]:
    """Raise `Stopped` in the main thread on SIGINT, SIGTERM and SIGHUP."""

    def stop(number: int, frame: FrameType | None) -> None:
        # A second Ctrl-C must not interrupt the shutdown.
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
