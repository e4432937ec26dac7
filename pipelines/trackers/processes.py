"""Start the processes that feed the trackers of a recipe, print what they report, and end them with the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from pipelines.console.tables import escape_controls
from pipelines.errors import Stopped
from pipelines.recipe.schema import Recipe
from pipelines.recipe.tracking import Tracker, list_trackers
from pipelines.shipped import import_folder
from pipelines.trackers.configuration import flatten_stage
from pipelines.trackers.feeding import FOLDER, Job

_PAUSE_SECONDS = 5.0
"""Between two looks at the run directory."""

_SECONDS = 60.0
"""Longest time that the end of a run waits for its trackers."""

_STOPPED_SECONDS = 3.0
"""The same after Ctrl-C."""

_SILENT_SECONDS = 2.0


@contextmanager
def track(recipe: Recipe, directory: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Feed the trackers of a recipe while the block runs; then send the rest, with a time limit.

    Args:
        recipe: The recipe.
        directory: The run directory, with its `run.json`.
        say: Prints a line.
    """
    feeders = [_Feeder(each, recipe, directory, say) for each in list_trackers(recipe.trackers)]
    seconds = _SECONDS
    try:
        yield
    except Stopped:
        seconds = _STOPPED_SECONDS
        raise
    finally:
        _end(feeders, seconds, say)


def _end(feeders: list[_Feeder], seconds: float, say: Callable[[str], None]) -> None:
    """Let all send the rest at the same time; end those that take too long."""
    try:
        for each in feeders:
            each.close()
        deadline = time.monotonic() + seconds
        silent = min(deadline, time.monotonic() + _SILENT_SECONDS)
        if late := [each.name for each in feeders if not each.wait(silent)]:
            say(f"sending the rest to {', '.join(late)} (at most {seconds:.0f} s)")
        unsent = [each.name for each in feeders if not each.wait(deadline) or each.failed]
        if unsent:
            say(f"warning: {', '.join(unsent)}: not everything was sent; the next `pipeline run` of this recipe sends the rest")
    finally:
        for each in feeders:
            each.kill()


class _Feeder:
    """The process of one tracker."""

    def __init__(self, tracker: Tracker, recipe: Recipe, directory: Path, say: Callable[[str], None]) -> None:
        self.name = tracker.name
        folder = directory / FOLDER / tracker.name
        folder.mkdir(parents=True, exist_ok=True)
        paths = [str(import_folder()), *filter(None, [os.environ.get("PYTHONPATH")])]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipelines.trackers.feeding"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.PIPE,  # closes when this process dies, by whatever cause
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only this process
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        options = tracker.model_dump(exclude_unset=True)
        job = Job(
            str(directory),
            options,
            {each.name: flatten_stage(recipe, each) for each in recipe.stages},
            _PAUSE_SECONDS,
            _SECONDS,
        )
        with suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(job) + b"\n")
            self._process.stdin.flush()
        self._lines = threading.Thread(target=_forward, args=(self._process.stdout, say), daemon=True)
        self._lines.start()

    @property
    def failed(self) -> bool:
        """Whether it has ended without sending everything."""
        return self._process.returncode != 0

    def close(self) -> None:
        """Tell it that the run has ended."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def wait(self, deadline: float) -> bool:
        """Wait for its end; return whether it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        return self._process.returncode is not None

    def kill(self) -> None:
        """End it, with what it started."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._lines.join(1.0)


def _forward(lines: IO[bytes], say: Callable[[str], None]) -> None:
    with lines:
        for line in lines:
            say(escape_controls(line.decode("utf-8", "replace").rstrip("\n")))
