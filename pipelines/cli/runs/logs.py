"""`pipeline logs`."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.runs import text
from pipelines.console.tables import escape_controls, say
from pipelines.errors import InputError
from pipelines.records.logs.noise import Cleaner, find_ranks
from pipelines.records.logs.tail import Tail
from pipelines.records.runs import Run, Step, find_run, open_run
from pipelines.records.submission import read_submission
from rewards.suggestions import suggestion

_SECONDS = 0.5
"""Between two looks at a growing log."""

_ATTEMPT = re.compile(r"--- attempt (\d+), (\S+)")


@dataclass(frozen=True)
class Filters:
    """Which lines are shown."""

    warnings: bool = False
    rank: int | None = None
    raw: bool = False
    """All lines as they are."""


@dataclass(frozen=True)
class Line:
    """A line of a step's log."""

    step: str
    attempt: int
    line: str
    title: bool = False
    """Whether it is the start of an attempt, which the trainer did not print."""


class _Log:
    """The log of a step, as far as it was shown."""

    def __init__(self, step: Step, filters: Filters) -> None:
        self._filters = filters
        self._tail = Tail(step.log)
        self._ranks = find_ranks(step.log) if filters.rank is not None else {}
        self._cleaner = self._start()
        self._left_out = 0
        self._attempt = 1

    def _start(self) -> Cleaner:
        return Cleaner(warnings=self._filters.warnings, rank=self._filters.rank, ranks=self._ranks)

    @property
    def ranks(self) -> set[int]:
        """The ranks that it names."""
        return set(self._ranks.values())

    @property
    def left_out(self) -> int:
        """How many lines were noise."""
        return self._left_out + self._cleaner.left_out

    def read(self, step: Step) -> Iterator[Line]:
        """Yield the lines to show since the last call."""
        for line in self._tail.read(ended=step.state != "running"):
            found = _ATTEMPT.fullmatch(line)
            if found is not None:
                self._attempt = int(found[1])
            if self._filters.raw:
                yield Line(step.name, self._attempt, line)
            elif found is not None:
                self._left_out, self._cleaner = self.left_out, self._start()
                moment = found[2].replace("T", " ").replace("+00:00", " UTC")
                yield Line(step.name, self._attempt, f"== {step.name}, attempt {found[1]}, {moment}", title=True)
            elif (cleaned := self._cleaner.clean(line)) is not None:
                yield Line(step.name, self._attempt, escape_controls(cleaned, keep="\t"))


def print_logs(name: str, part: str | None, parent: Path, filters: Filters, *, follow: bool, as_json: bool) -> None:
    """Print the logs of a run's steps, in order.

    Args:
        name: The run.
        part: A stage, or a step; None: all.
        parent: The parent of the run directories.
        filters: Which lines.
        follow: Also print what is added, until the run, or the stage, has ended.
        as_json: Print an object per line.
    """
    run = find_run(name, parent)
    chosen = [step.name for step in _choose(run, part)]
    logs: dict[str, _Log] = {}
    shown = 0
    while True:
        steps = [step for step in run.steps if step.name in chosen]
        for step in steps:
            if step.record is not None or step.log.exists():
                if step.name not in logs:
                    logs[step.name] = _Log(step, filters)
                for line in logs[step.name].read(step):
                    shown += not line.title
                    print(_encode(line) if as_json else _make_safe(line.line))
        sys.stdout.flush()
        if not follow or run.holder is None or all(step.state in ("complete", "failed") for step in steps):
            break
        time.sleep(_SECONDS)
        run = open_run(run.directory)
    _report(run, [*logs.values()], filters, shown)


def _choose(run: Run, part: str | None) -> Sequence[Step]:
    """Return the steps of a stage, or one step.

    Raises:
        InputError: The run has no stage or step of that name.
    """
    if part is None:
        return run.steps
    stages, steps = [each.name for each in run.stages], [each.name for each in run.steps]
    if part in stages:
        return run.stage(part).steps
    if part in steps:
        return [run.steps[steps.index(part)]]
    raise InputError(f"{run.directory} has no stage or step {part!r}{suggestion(part, [*stages, *steps])}")


def _report(run: Run, logs: Sequence[_Log], filters: Filters, shown: int) -> None:
    """Tell what was not shown."""
    if not logs:
        job = read_submission(run.directory)
        more = f"; the log of {job}: {text.show_path(run.directory / job.log)}" if job is not None and job.log else ""
        say(f"{text.show_path(run.directory)}: no step of it has begun, so it has no log{more}")
    elif filters.rank is not None and not shown:
        known = sorted(set().union(*(log.ranks for log in logs)))
        names = f"ranks: {', '.join(map(str, known))}" if known else "no line names a rank"
        say(f"no line names rank {filters.rank}; {names}")
    elif filters.warnings and not shown:
        say("no warnings")
    if (left_out := sum(log.left_out for log in logs)) and not filters.raw:
        say(f"lines left out as noise: {left_out:,}; all with --raw")


def _encode(line: Line) -> str:
    return json.dumps({"version": 1, "step": line.step, "attempt": line.attempt, "line": line.line})


def _make_safe(line: str) -> str:
    """Return a line of the log; a terminal gets no control characters but those that move to the start of a line."""
    return escape_controls(line, keep="\t\r") if sys.stdout.isatty() else line
