"""Run directories with metrics for the tests, and a tracker that keeps what it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.records.manifest import Manifest, StageEntry, StepEntry, write_manifest
from pipelines.records.metrics import Row
from pipelines.records.steps import Outcome, StepRecord, write_record
from pipelines.trackers.base import NOTHING, Samples, TrackedRun
from pipelines.trackers.feeding import Feeder, Job


def make_run(directory: Path, stages: Sequence[str] = ("one",)) -> Path:
    """Write the `run.json` of a run that has not begun."""
    steps: list[tuple[str, str | None, str]] = [("evaluate", None, "evaluations/base")]
    for name in stages:
        steps += [(f"{name}/{step}", name, f"stages/{name}/{step}") for step in ("train", "handover", "evaluate")]
    manifest = Manifest(
        id="0123456789abcdef",
        name="toy",
        stages=[StageEntry(name=name, kind="sft", trainer="llamafactory") for name in stages],
        steps=[
            StepEntry(name=name, title=name, stage=stage, folder=folder, optional=name.endswith("evaluate"))
            for name, stage, folder in steps
        ],
    )
    directory.mkdir(parents=True, exist_ok=True)
    write_manifest(directory, manifest)
    return directory


def record(directory: Path, step: str, outcome: Outcome, training: str = "first") -> None:
    """Write the record of a step: `one/train`."""
    folder = directory / "evaluations/base" if step == "evaluate" else directory / "stages" / step
    written = StepRecord("command", {}, outcome, execution_id=f"{step} {training}", training_id=training)
    write_record(folder, written)


def write_steps(directory: Path, steps: Sequence[int], stage: str = "one", **values: float) -> None:
    """Append steps to the metrics of a stage."""
    path = directory / "stages" / stage / "metrics.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"step": step, "loss": 1 / step, **values}) + "\n" for step in steps)


class Kept:
    """A `Tracker` in memory.

    Args:
        server: What it keeps beyond its own end: id -> calls.
    """

    def __init__(self, server: dict[str, list[tuple[str, Any]]], *, answers: bool = True) -> None:
        self.server = server
        self.answers = answers
        self.broken = False
        self.address = ""
        self.run: TrackedRun | None = None

    def start(self, run: TrackedRun) -> float | None:
        self._call()
        self.run = run
        self.address = "tracker.example"
        known = self.server.setdefault(run.id, [])
        known.append(("start", run.name))
        return max([NOTHING, *steps_of(known)]) if self.answers else None

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._keep("step", row["step"])

    def log_samples(self, samples: Samples) -> None:
        self._keep("samples", len(samples.rows))

    def log_figures(self, figures: Mapping[str, float]) -> None:
        self._keep("figures", dict(figures))

    def log_model(self, folder: Path) -> None:
        self._keep("model", folder.name)

    def finish(self, *, complete: bool) -> None:
        self._keep("finish", complete)
        self.run = None

    def _call(self) -> None:
        if self.broken:
            raise ConnectionError("http://user:secret@tracker.example does not answer\nmore")

    def _keep(self, what: str, value: Any) -> None:
        self._call()
        assert self.run is not None, "the tracker run is not open"
        self.server[self.run.id].append((what, value))


def steps_of(calls: Sequence[tuple[str, Any]]) -> list[float]:
    """Return the logged steps in order."""
    return [value for what, value in calls if what == "step"]


def make_feeder(directory: Path, tracker: Kept, lines: list[str] | None = None, **options: str | bool) -> Feeder:
    """Return a feeder of a tracker in memory."""
    job = Job(str(directory), {"name": "wandb", **options}, {"one": {"learning_rate": 1.0}})
    return Feeder(job, lambda: tracker, (lines if lines is not None else []).append)


def feed(directory: Path, tracker: Kept, **options: str | bool) -> bool:
    """Send all that the run directory has, as a new process does."""
    return make_feeder(directory, tracker, None, **options).feed(lambda _: True)
