"""Feed a tracker with what the run directory has of one stage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pipelines.digests import digest_text
from pipelines.errors import InputError
from pipelines.evaluation.steps import STEP as EVALUATE
from pipelines.evaluation.summary import read_summary
from pipelines.records.metrics import MetricsTail
from pipelines.records.runs import Run, Stage, Step
from pipelines.trackers.base import TrackedRun, Tracker, Value
from pipelines.trackers.samples import choose_samples
from pipelines.trackers.sent import Sent, read_sent, write_sent

_ROWS = 500
"""Steps that are logged at once."""


def tracked_run(
    run: Run, stage: Stage, folder: Path, options: Mapping[str, object], configuration: Mapping[str, Value]
) -> TrackedRun:
    """Return a stage whose training has begun as a tracker shows it.

    Another project or server has another tracker run.
    """
    assert stage.training is not None and stage.training.record is not None
    training = stage.training.record.training_id
    place = [options.get(name) for name in ("project", "entity", "url")]
    identity = digest_text(json.dumps([run.manifest.id, stage.name, training, *place]))
    return TrackedRun(identity, f"{run.name}/{stage.name}", f"{run.name}-{run.manifest.id[:8]}", folder, configuration)


class StageFeed:
    """The feed of one tracker run.

    Args:
        tracker: The tracker.
        tracked: The tracker run.
        stage: The stage's name.
        options: The tracker's; after a change, what was sent is sent again, but for the steps that the tracker has.
    """

    def __init__(self, tracker: Tracker, tracked: TrackedRun, stage: str, options: Mapping[str, object]) -> None:
        self._tracker = tracker
        self.tracked = tracked
        self._file = tracked.folder / f"{tracked.id}-{digest_text(json.dumps(options, sort_keys=True))[:8]}.json"
        self._sent = read_sent(self._file) or Sent(stage=stage)
        self._tail: MetricsTail | None = None
        """None: the tracker run is not open."""
        self.address = ""
        """Where the tracker shows it; empty: it was not opened."""

    def update(self, run: Run, stage: Stage, *, over: bool) -> None:
        """Send what is new.

        Args:
            over: Whether the run is past this stage, or has ended: the tracker run is ended, too.
        """
        training, sent = stage.training, self._sent
        assert training is not None and training.record is not None
        figures = _read_figures(run, stage)
        samples = training.record.execution_id if training.state == "complete" else sent.samples
        model = _made_by(stage)
        new = Sent(stage=stage.name, samples=samples, figures=_digest(figures), model=model)
        if self._tail is None:
            same = (sent.samples, sent.figures, sent.model) == (new.samples, new.figures, new.model)
            idle = same and not self._has_more(stage) and (sent.finished or stage.state != "complete")
            if idle and (over or training.state != "running"):
                return
            last = self._tracker.start(self.tracked)
            self.address = self._tracker.address
            sent.step = sent.step if last is None else last
            if not sent.finished:
                # A client may have held them in memory when it was killed.
                sent.samples = sent.figures = sent.model = ""
            sent.finished = False
            self._tail = MetricsTail(stage.paths.metrics)
        rows = [row for row in self._tail.read()[0] if sent.step is None or row["step"] > sent.step]
        for first in range(0, len(rows), _ROWS):
            self._tracker.log(some := rows[first : first + _ROWS])
            sent.step = some[-1]["step"]
            write_sent(self._file, sent)
        self._send_results(stage, new, figures)
        if over:
            self._tracker.finish(complete=stage.state == "complete")
            self._tail, sent.finished = None, stage.state == "complete"
            write_sent(self._file, sent)

    def _has_more(self, stage: Stage) -> bool:
        """Return whether the stage has steps that were not logged."""
        last = stage.last_metrics()
        return last is not None and (self._sent.step is None or last["step"] > self._sent.step)

    def _send_results(self, stage: Stage, new: Sent, figures: Mapping[str, float]) -> None:
        """Send samples, figures and the model, each once."""
        sent = self._sent
        if sent.samples != new.samples:
            if samples := choose_samples(stage.paths):
                self._tracker.log_samples(samples)
            sent.samples = new.samples
            write_sent(self._file, sent)
        if sent.figures != new.figures:
            self._tracker.log_figures(figures)
            sent.figures = new.figures
            write_sent(self._file, sent)
        if sent.model != new.model:
            self._tracker.log_model(stage.paths.model)
            sent.model = new.model
            write_sent(self._file, sent)


def _made_by(stage: Stage) -> str:
    """Return the execution of the step that made the stage's model; empty: there is no model yet."""
    step = next((each for each in stage.steps if each.name == f"{stage.name}/handover"), None)
    return step.record.execution_id if step is not None and step.record is not None and step.state == "complete" else ""


def _read_figures(run: Run, stage: Stage) -> dict[str, float]:
    """Return the evaluation of the stage's model; with the first stage, also that of the model it starts from."""
    evaluated = {"evaluation": f"{stage.name}/{EVALUATE}"}
    if stage is run.stages[0]:
        evaluated["evaluation_before"] = EVALUATE
    found: dict[str, float] = {}
    for prefix, name in evaluated.items():
        step = next((each for each in run.steps if each.name == name), None)
        if step is not None and step.state == "complete":
            found |= _figures(step, prefix)
    return found


def _figures(step: Step, prefix: str) -> dict[str, float]:
    try:
        summary = read_summary(step.folder)
    except InputError:
        return {}
    return {
        f"{prefix}/{name}/{figure}{end}": value
        for name, one in summary.sets.items()
        for figure, found in one.overall.figures.items()
        for end, value in (("", found.value), ("/low", found.low), ("/high", found.high))
    }


def _digest(figures: Mapping[str, float]) -> str:
    return digest_text(json.dumps(figures, sort_keys=True)) if figures else ""
