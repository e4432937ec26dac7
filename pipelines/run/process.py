"""One child process: its start, its log, its end, and what an earlier one may have left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from pipelines.errors import StepError
from pipelines.run.scratch import scratch_folder
from pipelines.shipped import CODE
from pipelines.trainers.verl.attempt_files import SHARED_MEMORY_PREFIX

if TYPE_CHECKING:
    import psutil

MARK = "PIPELINE_RUN"
"""Every process of a run carries this variable: the run directory. It is how leftovers are told from strangers."""

GRACE_SECONDS = 5.0
"""How long a command that is asked to end may take before it is made to.

verl takes up to 7 s to wind Ray down, and a person who pressed Ctrl-C is promised an end within ten.
"""

_POLL_SECONDS = 0.5
_LAST_SECONDS = 4.0  # what the supervisor may take on top of its grace


class Stopped(BaseException):
    """A person, or the system, asked the run to end. Not an Exception: nothing on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int | None
    """Its exit status, negative for a signal; None if it had to be killed with its whole family."""
    leftovers: tuple[str, ...] = ()
    """Names of the processes that it left running, which have been ended."""


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
    run_directory: Path,
    poll: Callable[[], None] = lambda: None,
    grace: float = GRACE_SECONDS,
) -> Outcome:
    """Runs one command to its end under a supervisor; `poll` is called twice a second meanwhile.

    Raises:
        StepError: the command could not be started, or its supervisor was killed.
        Stopped: whatever a signal handler or `poll` raises goes through, once the command's whole family has ended.
    """
    scratch = scratch_folder(run_directory)
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "pipelines.run.supervisor", str(log), str(scratch), str(grace), "--", *argv],
        cwd=cwd,
        env=complete_environment(argv, environment, run_directory),
        stdin=subprocess.PIPE,  # the life line: it closes when this process dies, however it dies
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches this process alone, which ends the rest in order
    )
    assert supervisor.stdin is not None and supervisor.stdout is not None
    try:
        while True:
            try:
                supervisor.wait(_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                poll()
    finally:
        supervisor.stdin.close()
        try:
            supervisor.wait(grace + _LAST_SECONDS)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            end_leftovers(run_directory, grace)
        said = supervisor.stdout.read()
        supervisor.stdout.close()
    if not said:
        end_leftovers(run_directory, grace)
        raise StepError("the process that watches over the step was killed; the step was ended with it")
    report = json.loads(said)
    if report["error"]:
        raise StepError(f"cannot start {report['error']}")
    return Outcome(report["status"], tuple(report["leftovers"]))


def complete_environment(argv: Sequence[str], environment: Mapping[str, str], run_directory: Path) -> dict[str, str]:
    """The caller's variables, the command's, and ours.

    The command's own folder comes first on PATH, since upstreams start their helpers (torchrun, ray) by bare name.
    Temporary files go to a scratch folder of the run's own, which its supervisor removes; Ray's sockets need its path short.
    """
    scratch = scratch_folder(run_directory)
    root = str(CODE)
    merged = {**os.environ, **environment}
    merged["PATH"] = os.pathsep.join([str(Path(argv[0]).parent), merged.get("PATH", os.defpath)])
    merged["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [merged.get("PYTHONPATH")])])
    ours = {"TMPDIR": str(scratch), "RAY_TMPDIR": str(scratch), SHARED_MEMORY_PREFIX: scratch.name}
    return merged | ours | {MARK: str(run_directory), "PYTHONUNBUFFERED": "1"}


def end_leftovers(run_directory: Path, grace: float = GRACE_SECONDS) -> list[str]:
    """Ends the processes of this run that an earlier, killed one left behind; their names."""
    import psutil

    names: list[str] = []
    while found := find_processes(run_directory):  # again, until none is found: a dying family may still have children
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
    """The processes of a run, this one left out: process -> its name."""
    import psutil

    found = {}
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == str(run_directory)
            if marked and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found[process] = process.name()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@contextmanager
def signals_as_stopped() -> Iterator[None]:
    """Ctrl-C, a polite kill and a closed terminal all raise `Stopped` in the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        # A second Ctrl-C must not interrupt the ending that the first one began.
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
