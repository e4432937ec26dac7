"""A stage and a step of a run as they are on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pipelines.records.holder import Holder
from pipelines.records.manifest import StageEntry, StepEntry
from pipelines.records.metrics import Row, read_last, read_metrics
from pipelines.records.progress import Reached, read_reached
from pipelines.records.steps import StepRecord
from pipelines.trainers.base import HEADLINES, StagePaths
from preprocess import atomic

_SECONDS = 2.0
"""Precision of the times of records and processes."""

State = Literal["waiting", "running", "interrupted", "failed", "complete"]


@dataclass(frozen=True)
class Step:
    """A step of a run."""

    entry: StepEntry
    folder: Path
    record: StepRecord | None
    holder: Holder | None
    """The process that works in the run directory."""

    @property
    def name(self) -> str:
        """`<stage>/<step>`, or the name of a step of no stage."""
        return self.entry.name

    @property
    def state(self) -> State:
        """How it is."""
        if self.record is None:
            return "waiting"
        if self.record.outcome == "complete" or self.record.outcome == "failed":
            return self.record.outcome
        return "running" if self._is_of(self.holder) else "interrupted"

    @property
    def reached(self) -> Reached | None:
        """How far it is, or was when it ended."""
        return read_reached(self.folder) if self.record is not None else None

    @property
    def started(self) -> float | None:
        """When its last attempt began, in seconds since the epoch; None: it has not begun."""
        try:
            return datetime.fromisoformat(self.record.started).timestamp() if self.record is not None else None
        except ValueError:
            return None  # written by hand

    @property
    def seconds(self) -> float:
        """Wall time of all attempts, of one that runs or was killed as far as it is known."""
        if self.record is None:
            return 0.0
        known, began = self.record.seconds, self.started
        if self.record.outcome != "started" or began is None:
            return known
        # The attempt is added to the record when it ends.
        reached = self.reached
        ended = time.time() if self.state == "running" else reached.at if reached is not None else began
        return known + max(0.0, ended - began)

    def _is_of(self, holder: Holder | None) -> bool:
        """Whether its last attempt was begun by this process, not by one that was killed before."""
        return holder is not None and (self.started is None or self.started > holder.started - _SECONDS)

    @property
    def log(self) -> Path:
        """The output of its command."""
        return self.folder / "log"


@dataclass(frozen=True)
class Stage:
    """A stage of a run."""

    entry: StageEntry
    paths: StagePaths
    steps: tuple[Step, ...]
    """Its steps, evaluation included."""

    @property
    def name(self) -> str:
        """Its name in the recipe."""
        return self.entry.name

    @property
    def training(self) -> Step | None:
        """The step that trains it."""
        return next((each for each in self.steps if each.name == f"{self.name}/train"), None)

    @property
    def state(self) -> State:
        """How it is; that of its last step that is not optional and has begun."""
        needed = [each.state for each in self.steps if not each.entry.optional]
        begun = [each for each in needed if each != "waiting"]
        if begun and begun[-1] == "complete" and len(begun) < len(needed):
            # Rows are prepared long before the training.
            return "waiting" if self.training is None or self.training.state == "waiting" else "interrupted"
        return begun[-1] if begun else "waiting"

    @property
    def seconds(self) -> float:
        """Wall time of its steps."""
        return sum(each.seconds for each in self.steps)

    @property
    def model(self) -> Path | None:
        """The model that it handed over; None: not yet."""
        return self.paths.model if self.paths.model.is_dir() else None

    @property
    def data(self) -> dict[str, Any] | None:
        """`summary.json` of its rows: records, rows, rejects by reason; None: not prepared yet."""
        return atomic.read_json(self.paths.data / "summary.json")

    @property
    def headline(self) -> tuple[str, str]:
        """The metric that is shown first: `loss` or `reward`, and its name in `metrics.jsonl`."""
        return HEADLINES.get((self.entry.kind, self.entry.trainer), ("loss", "loss"))

    def metrics(self, after: float = float("-inf")) -> Iterator[Row]:
        """Yield its training steps, in order, after a step."""
        return read_metrics(self.paths.metrics, after)

    def last_metrics(self) -> Row | None:
        """Return its newest training step."""
        return read_last(self.paths.metrics)

    def position(self) -> Position | None:
        """Return how far its training is; None before the first step."""
        name, key = self.headline
        reached = self.training.reached if self.training is not None else None
        row = read_last(self.paths.metrics, key)
        value = row[key] if row is not None else None
        if reached is not None:
            total, value = reached.total or self.entry.steps, reached.metrics.get(name, value)
            return Position(reached.step, total, name, value, reached.seconds_left)
        # Runs of version 0.2 and earlier have no `reached.json`.
        last = self.last_metrics()
        return Position(last["step"], self.entry.steps, name, value, None) if last is not None else None


@dataclass(frozen=True)
class Position:
    """How far the training of a stage is, or was when it ended."""

    step: float
    total: float | None
    metric: str
    """`loss` or `reward`."""
    value: float | None
    """Its newest value."""
    seconds_left: float | None
    """Of the training; None: unknown, or it has ended."""
