"""Feed one tracker from a run directory, in a process of its own: `python -m pipelines.trackers.feeding`.

Its standard input has one line, the `Job`, and ends with the run: then the rest is sent. Its standard output has lines for the
user. Everything that it sends is in the run directory, so whatever happens to it, the next one sends the rest.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TextIO, cast

import msgspec

from pipelines.recipe.tracking import Tracker as Options
from pipelines.recipe.tracking import TrackerName
from pipelines.records.runs import Stage, open_run
from pipelines.trackers.base import Tracker, Value
from pipelines.trackers.hiding import HidingStream, hide_secrets
from pipelines.trackers.stages import StageFeed, tracked_run

FOLDER = "trackers"
"""The folder of the trackers' files in a run directory."""

_CLASSES: Mapping[TrackerName, str] = {
    "tensorboard": "TensorBoard",
    "wandb": "Wandb",
    "mlflow": "Mlflow",
    "swanlab": "SwanLab",
    "trackio": "Trackio",
}

_LONGEST_WAIT = 300.0
"""Between two tries of a tracker that is not available."""

_LAST_TRIES = 2
"""After the run has ended."""

_NICE = 5
_LONGEST_REASON = 200


class Job(msgspec.Struct, frozen=True):
    """What a process is to feed."""

    directory: str
    """The run directory."""
    options: dict[str, str | bool | None]
    """The tracker, as in the recipe."""
    configurations: dict[str, dict[str, Value]]
    """Stage -> its configuration."""
    pause: float = 5.0
    """Seconds between two looks at the run directory."""
    limit: float = 60.0
    """Longest time to send the rest after the end of the run, in seconds; also after that of a run that was killed."""


class Feeder:
    """Feed one tracker with all stages of a run.

    Args:
        job: What to feed.
        make: Makes the tracker; called again after a failure.
        say: Prints a line for the user.
    """

    def __init__(self, job: Job, make: Callable[[], Tracker], say: Callable[[str], None]) -> None:
        self._job = job
        self._options = Options.model_validate(job.options).model_dump()  # with defaults
        self._folder = Path(job.directory) / FOLDER / str(job.options["name"])
        self._make = make
        self._say = say
        self._tracker: Tracker | None = None
        self._feeds: dict[str, StageFeed] = {}
        self._failures = 0
        self._warned = self._addressed = False

    def feed(self, wait: Callable[[float], bool]) -> bool:
        """Send what the run directory has until the run has ended; return whether everything was sent.

        Args:
            wait: Waits so many seconds, or until the run has ended; returns whether it has.
        """
        while not wait(self._pause()):
            self._try(ended=False)
        for number in range(_LAST_TRIES):
            if self._try(ended=True):
                return True
            time.sleep(number)
        return False

    def _pause(self) -> float:
        if self._tracker is None and not self._failures:
            return 0.0
        return float(min(_LONGEST_WAIT, self._job.pause * 2**self._failures))

    def _try(self, *, ended: bool) -> bool:
        """Send what is new; return whether the tracker took it."""
        try:
            self._update(ended=ended)
        except Exception as error:
            # Whatever a tracker's library raises: it is started again later, and asked what it has.
            print(traceback.format_exc(), file=sys.stderr)
            self._tracker, self._failures = None, self._failures + 1
            self._feeds.clear()
            if not self._warned:
                self._warned = True
                line = next(iter(str(error).strip().splitlines()), type(error).__name__)
                shown = line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]} …"
                name = self._job.options["name"]
                self._say(f"warning: {name} is not available: {shown}; the run continues, it is sent later")
            return False
        self._failures = 0
        return True

    def _update(self, *, ended: bool) -> None:
        self._tracker = tracker = self._tracker or self._make()
        run = open_run(Path(self._job.directory))
        begun = [stage for stage in run.stages if stage.training is not None and stage.training.record is not None]
        # A tracker has one run at a time: that of the training which began last, after the others are sent. An earlier one
        # that was stopped looks like a running one.
        begun.sort(key=_began)
        for stage in begun:
            configuration = self._job.configurations.get(stage.name, {})
            tracked = tracked_run(run, stage, self._folder, self._options, configuration)
            feed = self._feeds.get(stage.name)
            if feed is None or feed.tracked.id != tracked.id:
                feed = self._feeds[stage.name] = StageFeed(tracker, tracked, stage.name, self._options)
            feed.update(run, stage, over=ended or stage is not begun[-1])
            if feed.address and not self._addressed:
                self._addressed = True
                self._say(f"{self._job.options['name']}: {feed.address}")


def _began(stage: Stage) -> str:
    """Return when the training of a stage began."""
    assert stage.training is not None and stage.training.record is not None
    return stage.training.record.started


def make_tracker(options: Options) -> Tracker:
    """Return the tracker of that name."""
    made: Tracker = getattr(import_module(f"pipelines.trackers.{options.name}"), _CLASSES[options.name])(options)
    return made


def main() -> int:
    """Feed until standard input ends; return 0 if everything was sent."""
    from filelock import FileLock, Timeout

    lines = os.fdopen(os.dup(1), "w")  # the libraries print, too
    os.dup2(2, 1)
    sys.stdout = sys.stderr = cast(TextIO, HidingStream(sys.stderr))
    os.nice(_NICE)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    options = Options.model_validate(job.options)

    def say(line: str) -> None:
        with suppress(BrokenPipeError):  # the run was killed
            print(hide_secrets(line), file=lines, flush=True)

    def wait(seconds: float) -> bool:
        ended = bool(select.select([sys.stdin], [], [], seconds)[0])
        if ended:
            signal.alarm(math.ceil(job.limit) + 1)
        return ended

    try:
        # The process of a killed run may still send its last steps.
        with FileLock(Path(job.directory) / FOLDER / options.name / "lock", timeout=job.limit):
            return 0 if Feeder(job, lambda: make_tracker(options), say).feed(wait) else 1
    except Timeout:
        say(f"warning: {options.name}: another process still feeds it")
        return 1


if __name__ == "__main__":
    sys.exit(main())
