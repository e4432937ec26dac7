"""The stages of a run as a chain: model and rows in, training, checkpoints, model out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError
from pipelines.records.overlong import Overlong, read_overlong
from pipelines.records.runs import Run, Stage, Step
from pipelines.reports.page import Rows, StageCard, StepRow
from pipelines.reports.text import one_line, show
from pipelines.reports.tracks import Track
from preprocess.engine.job import KINDS

_HEADLINES = (
    ("reward", ("critic/score/mean",)),
    ("loss", ("loss", "train/loss")),
    ("validation loss", ("eval_loss", "val/loss")),
    ("response tokens", ("response_length/mean",)),
)
_VALIDATION = re.compile(r"val-(?:core|aux)/(?P<source>.+)/(?P<measure>accuracy|reward)/mean@\d+")
_EXPORTED = re.compile(r"step (\d+) is exported")
_MOST_REASONS = 6
_MOST_NOTES = 20


def step_row(step: Step) -> StepRow:
    """Return a step as its record says."""
    record = step.record
    if record is None:
        return StepRow(name=show(step.name), title=show(step.entry.title), state=step.state)
    return StepRow(
        name=show(step.name),
        title=show(step.entry.title),
        state=step.state,
        started=one_line(record.started),
        seconds=record.seconds if record.outcome != "started" else None,
        attempts=record.attempts,
        reason=one_line(record.reason, 500),
        notes=[one_line(each, 500) for each in record.notes[:_MOST_NOTES]],
    )


def stage_card(run: Run, stage: Stage, recipe: Mapping[str, Any], tracks: Mapping[str, Track], steps: list[int]) -> StageCard:
    """Return a stage as the picture shows it.

    Args:
        recipe: The resolved recipe, as plain values.
        tracks: Its metrics.
        steps: The steps of its checkpoints.
    """
    training = stage.training
    record = training.record if training is not None else None
    failed = next((each for each in stage.steps if each.state == "failed"), None)
    reached = training.reached if training is not None else None
    last = max((track.xs[-1] for track in tracks.values() if track.xs), default=0)
    notes = [note for each in stage.steps if each.record for note in each.record.notes]
    return StageCard(
        name=show(stage.name),
        kind=stage.entry.kind,
        trainer=show(stage.entry.trainer),
        algorithm=show(stage.entry.algorithm or ""),
        state=stage.state,
        model_in=show(_initial_model(run, stage, recipe)),
        rows=_rows(stage.data, read_overlong(stage.paths)),
        steps=stage.entry.steps or (int(reached.total) if reached and reached.total else None),
        reached=max(last, int(reached.step) if reached else 0),
        seconds=sum(each.record.seconds for each in stage.steps if each.record) or None,
        train_seconds=record.seconds if record and record.outcome != "started" else None,
        seconds_left=reached.seconds_left if reached and training is not None and training.state == "running" else None,
        attempts=record.attempts if record else 0,
        checkpoints=steps,
        handed_on=_handed_on(stage, notes, last),
        model_out=str(stage.paths.model.relative_to(run.directory)) if stage.paths.model.is_dir() else "",
        headline=_headline(tracks),
        notes=[one_line(note, 500) for note in notes[:_MOST_NOTES]],
        problem=one_line(failed.record.reason, 500) if failed is not None and failed.record else "",
    )


def _initial_model(run: Run, stage: Stage, recipe: Mapping[str, Any]) -> str:
    """Return the stage whose model a stage starts from, or the model."""
    names = [each.name for each in run.stages]
    given: dict[str, Any] = next((each for each in _stages(recipe) if each.get("name") == stage.name), {})
    place = names.index(stage.name)
    model = given.get("init_from") or (names[place - 1] if place else recipe.get("model"))
    if isinstance(model, dict):
        return f"tiny {model.get('make', 'model')}, random weights"
    return _shorten_model(str(model)) if model else "not known"


def _shorten_model(model: str) -> str:
    return Path(model).name if model.startswith("/") else model


def _stages(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = recipe.get("stages")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _rows(summary: Mapping[str, Any] | None, overlong: Overlong | None) -> Rows | None:
    """Return the counts of `summary.json`, and the overlong rows; None: the rows are not prepared."""
    if summary is None or not isinstance(summary.get("rows"), dict):
        return None
    lost: dict[str, int] = {}
    for field in KINDS:
        counts = summary.get(field)
        for reason, count in counts.items() if isinstance(counts, dict) else ():
            if isinstance(count, int) and count:
                text = one_line(str(reason), 120)
                lost[text] = lost.get(text, 0) + count
    most = sorted(lost.items(), key=lambda each: -each[1])
    shown = dict(most[:_MOST_REASONS])
    if rest := sum(count for _, count in most[_MOST_REASONS:]):
        shown[f"{len(most) - _MOST_REASONS} other reasons"] = rest
    rows = summary["rows"]
    return Rows(
        records=_count(summary.get("records")),
        train=_count(rows.get("train")),
        validation=_count(rows.get("validation")),
        lost=shown,
        overlong=str(overlong) if overlong is not None else "",
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _handed_on(stage: Stage, notes: list[str], last: int) -> int | None:
    """Return the step of the checkpoint that is the stage's model; None: none is yet."""
    if not stage.paths.model.is_dir():
        return None
    if found := next(filter(None, map(_EXPORTED.search, notes)), None):
        return int(found[1])
    name = stage.paths.checkpoint.readlink().name if stage.paths.checkpoint.is_symlink() else ""
    return int(name.rpartition("_")[2]) if name.rpartition("_")[2].isdigit() else last or None


def _headline(tracks: Mapping[str, Track]) -> list[tuple[str, float, float]]:
    found = []
    for name, metrics in _HEADLINES:
        track = next((tracks[each] for each in metrics if each in tracks and tracks[each].total), None)
        if track is not None:
            found.append((name, track.ys[0], track.ys[-1]))
    measured = {each: match for each in tracks if (match := _VALIDATION.fullmatch(each)) and tracks[each].total}
    best = next((each for measure in ("accuracy", "reward") for each in measured if measured[each]["measure"] == measure), None)
    if best is not None:
        found.insert(1, (f"validation {measured[best]['measure']}", tracks[best].ys[0], tracks[best].ys[-1]))
    return found


class Checkpoints:
    """The steps of a stage's checkpoints, read again only when their folder has changed."""

    def __init__(self) -> None:
        self._names: list[str] | None = None
        self._steps: list[int] = []

    def read(self, stage: Stage) -> list[int]:
        """Return the steps of the complete checkpoints."""
        names = sorted(each.name for each in stage.paths.checkpoints.glob("*[0-9]"))
        if names != self._names:
            try:
                self._steps = sorted(checkpoint_folders(stage))
            except (OSError, ValueError, PipelineError):
                self._steps = []
            self._names = names
        return self._steps


def checkpoint_folders(stage: Stage) -> dict[int, Path]:
    """Return the complete checkpoints of a stage by their steps."""
    if stage.entry.trainer == "llamafactory":
        from pipelines.trainers.llamafactory import trainer as llamafactory

        return llamafactory.checkpoints(stage.paths)
    from pipelines.trainers.verl.checkpoints import resume

    return resume.checkpoints(stage.paths)
