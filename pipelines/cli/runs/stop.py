"""`pipeline stop`."""

from __future__ import annotations

import json
import time
from pathlib import Path

from pipelines.cli.runs import text
from pipelines.cli.runs.next_commands import resume_command
from pipelines.console.progress import format_seconds
from pipelines.console.tables import say
from pipelines.errors import InputError, StepError
from pipelines.records.runs import Run, find_run, open_run
from pipelines.records.submission import read_submission
from pipelines.records.summaries import summarise

_LONGEST = 60.0
"""Seconds to wait; a run ends within 10 s of Ctrl-C."""


def stop_run(name: str, parent: Path, *, as_json: bool) -> None:
    """Stop the job or the process that works in a run directory, as Ctrl-C does, and wait until it has ended.

    Args:
        name: The run.
        parent: The parent of the run directories.
        as_json: Print one object at the end.

    Raises:
        InputError: It runs on another machine, or belongs to another user.
        StepError: It has not ended after a minute.
    """
    run = find_run(name, parent)
    began = time.monotonic()
    stopped = _stop_job(run.directory) or _stop_process(run)
    run = open_run(run.directory)
    state, resume = text.describe(summarise(run)), resume_command(run)
    if as_json:
        directory = text.show_path(run.directory)
        print(json.dumps({"version": 1, "directory": directory, "stopped": stopped, "state": run.state, "resume": resume}))
    if stopped:
        say(f"stopped after {format_seconds(time.monotonic() - began)}: {state}")
        say(f"resume with: {resume}")
    elif not as_json:
        say(f"{text.show_path(run.directory)}: nothing runs; it is {state}")


def _stop_job(directory: Path) -> bool:
    """Stop the job of a run that was submitted to a cluster; return whether there was one."""
    job = read_submission(directory)
    if job is None:
        return False
    from pipelines.launch.jobs import stop_job

    return stop_job(job, say)


def _stop_process(run: Run) -> bool:
    """Stop the process that works in a run directory; return whether there was one."""
    holder = run.holder
    if holder is None:
        return False
    if not holder.is_here:
        raise InputError(f"{text.show_path(run.directory)} is held by {holder}; run `pipeline stop` on {holder.host}")
    say(f"stopping {holder} …")
    began = time.monotonic()
    holder.interrupt()
    while holder.is_alive:
        if time.monotonic() - began > _LONGEST:
            raise StepError(f"{holder} has not ended after {_LONGEST:.0f} s; `kill -9 {holder.pid}` ends it and loses no more")
        time.sleep(0.1)
    return True
