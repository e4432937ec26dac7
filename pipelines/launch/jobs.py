"""The job of a run directory: whether it waits or runs, its end, and its log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pipelines.environments.ask import AskError
from pipelines.errors import StepError
from pipelines.launch.ray.client import ENDED, Client
from pipelines.launch.slurm import commands as slurm
from pipelines.records.submission import Submission

_SECONDS = 120.0
"""Longest time to wait for the end of a job: a run ends within ten seconds, and its supervisor and Ray after it."""

_LOOK_SECONDS = 0.5


def find_state(job: Submission) -> tuple[str, str]:
    """Return the state of a job and why it is in it; an empty state if it has ended, or is not known here.

    Asking a Ray cluster takes seconds.
    """
    if job.to == "slurm":
        found = slurm.find_state(job.id)
        return (found.word, found.reason) if found is not None and found.is_active else ("", "")
    with suppress(AskError):
        found_state = Client(job.address, job.python).ask("state", id=job.id)
        if found_state["state"] not in ENDED:
            return found_state["state"], ""
    return "", ""


def describe_job(job: Submission) -> str:
    """Return a job in a few words: `Slurm job 12, pending (Resources)`. A Ray cluster is not asked."""
    if job.to == "ray":
        return f"{job} of {job.address}"
    found = slurm.find_state(job.id)
    if found is None:
        return f"{job}, not in the queue"
    reason = f" ({found.reason})" if found.reason not in ("", "None") else ""
    return f"{job}, {found.word}{reason}"


def stop_job(job: Submission, say: Callable[[str], None] = lambda line: None) -> bool:
    """Stop a job in order, and wait until it has ended.

    Args:
        job: The job.
        say: Prints a line when it is being stopped.

    Returns:
        Whether it waited or ran.

    Raises:
        StepError: It has not ended after two minutes, or the cluster refused.
    """
    if not (state := find_state(job)[0]):
        return False
    say(f"stopping {job}, {state} …")
    if job.to == "slurm":
        slurm.cancel(job.id, slurm.State(state, ""))
    else:
        try:
            Client(job.address, job.python).ask("stop", id=job.id)
        except AskError as error:
            raise StepError(f"{job} cannot be stopped: {error}") from None
    deadline = time.monotonic() + _SECONDS
    while find_state(job)[0]:
        if time.monotonic() > deadline:
            how = f"scancel {job.id}" if job.to == "slurm" else f"ray job stop {job.id}"
            raise StepError(f"{job} has not ended after {_SECONDS:.0f} s; `{how}` ends it at once")
        time.sleep(_LOOK_SECONDS)
    return True


def follow_job(directory: Path, job: Submission) -> None:
    """Print the log of a job as it grows, until the job ends."""
    if job.to == "ray":
        Client(job.address, job.python).follow(job.id)
        return
    for text in _tail(directory / job.log, lambda: bool(find_state(job)[0])):
        print(text, end="", flush=True)


def _tail(path: Path, is_active: Callable[[], bool]) -> Iterator[str]:
    """Yield what is added to a file, which need not exist yet."""
    position = 0
    while True:
        active = is_active()
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(position)
                if text := file.read():
                    yield text
                position = file.tell()
        if not active:
            return
        time.sleep(_LOOK_SECONDS)
