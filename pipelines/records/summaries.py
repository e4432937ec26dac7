"""A run in one typed value: the shape of `pipeline status --json` and of each run in `pipeline runs --json`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal

import msgspec

from pipelines.console.sizes import size_on_disk
from pipelines.errors import InputError
from pipelines.records.runs import Run, find_runs, last_change, open_run
from pipelines.records.stages import Position, Stage, State, Step
from pipelines.records.steps import Failure
from pipelines.records.submission import Submission, read_submission

VERSION: Literal[1] = 1
"""Version of the shapes."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric and its newest value."""

    name: str
    """`loss` or `reward`."""
    value: float | None
    """None: infinite or not a number."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The process that works in a run directory."""

    pid: int
    host: str
    here: bool
    """Whether it runs on this machine."""


class StepSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a run."""

    name: str
    title: str
    stage: str | None
    state: State
    optional: bool
    """Whether the run continues if it fails."""
    started: float | None
    """When its last attempt began, in seconds since the epoch."""
    seconds: float
    """Wall time of all attempts."""
    attempts: int
    reached: str
    """How far it is while it runs, such as `step 3/30`; empty: unknown."""
    seconds_left: float | None
    reason: str
    """Why it failed."""
    notes: list[str]
    failures: list[Failure]
    """Attempts to train that failed."""
    log: str
    """The path of its log."""


class StageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a run."""

    name: str
    kind: Literal["sft", "rl"]
    trainer: str
    algorithm: str | None
    state: State
    step: float | None
    """Training steps done; None: none yet."""
    total: float | None
    """Training steps in all; None: not known yet."""
    metric: Metric | None
    seconds: float
    """Wall time of its steps."""
    seconds_left: float | None
    """Of its training."""
    model: str | None
    """The folder of the model that it handed over; None: not yet."""


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a list of runs."""

    name: str
    directory: str
    state: State
    """`complete`: it did all that its command asked for; `untrained` has the stages that are left."""
    at: str
    """The step that runs or at which the run ended early, else the last stage that was trained; empty: not begun."""
    untrained: list[str]
    """Stages that are not complete."""
    step: float | None
    """Training steps of that stage done."""
    total: float | None
    metric: Metric | None
    seconds_left: float | None
    """Of the step that runs."""
    process: Process | None
    job: Submission | None = None
    """The job of a cluster that was submitted last; None: it was not submitted."""
    smoke: bool
    changed: float
    """When a record or the progress was last written, in seconds since the epoch."""
    size: int | None = None
    """Bytes on disk; None: not counted."""


class RunStatus(RunSummary, frozen=True, kw_only=True):
    """A run with its stages and steps."""

    version: Literal[1] = VERSION
    project: str
    """Version of this project that ran it; empty: 0.2 or earlier."""
    platform: str
    command: list[str]
    """The command line of the newest `pipeline run`; empty: unknown."""
    folder: str
    """The folder in which it was typed."""
    seconds: float
    """Wall time of all steps."""
    reason: str
    """Why the run failed."""
    model: str | None
    """The model of the last stage that has one."""
    stages: list[StageSummary]
    steps: list[StepSummary]


class RunList(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a folder."""

    version: Literal[1] = VERSION
    runs: list[RunSummary]
    """The one that changed last first."""
    unreadable: dict[str, str]
    """Run directory -> why it cannot be read, such as a later version."""


def summarise(run: Run, size: int | None = None) -> RunSummary:
    """Return a run in a list of runs."""
    current, holder = run.current, run.holder
    stage = _find_stage(run)
    position = stage.position() if stage is not None else None
    is_training = stage is not None and (current is None or current is stage.training)
    at = stage.name if stage is not None and is_training else current.name if current is not None else ""
    reached = current.reached if current is not None and current.state == "running" else None
    return RunSummary(
        name=run.name,
        directory=str(run.directory),
        state=run.state,
        at=at,
        untrained=[each.name for each in run.stages if each.state != "complete"],
        step=position.step if position is not None else None,
        total=position.total if position is not None else stage.entry.steps if stage is not None and is_training else None,
        metric=_metric(position),
        seconds_left=reached.seconds_left if reached is not None else None,
        process=None if holder is None else Process(pid=holder.pid, host=holder.host, here=holder.is_here),
        job=read_submission(run.directory),
        smoke=run.manifest.smoke,
        changed=last_change(run.directory),
        size=size,
    )


def summarise_status(run: Run) -> RunStatus:
    """Return a run with its stages and steps."""
    manifest, current, model = run.manifest, run.current, run.model
    record = current.record if current is not None else None
    return RunStatus(
        **msgspec.structs.asdict(summarise(run)),
        project=manifest.project,
        platform=manifest.platform,
        command=manifest.command,
        folder=manifest.folder,
        seconds=sum(each.seconds for each in run.steps),
        reason=record.reason if record is not None and run.state == "failed" else "",
        model=str(model) if model is not None else None,
        stages=[summarise_stage(each) for each in run.stages],
        steps=[_summarise_step(each) for each in run.steps],
    )


def _find_stage(run: Run) -> Stage | None:
    """Return the stage of the step that runs or at which the run ended early, else the last one whose training began."""
    if run.current is not None:
        return next((each for each in run.stages if each.name == run.current.entry.stage), None)
    trained = [each for each in run.stages if each.training is not None and each.training.record is not None]
    return trained[-1] if trained else None


def summarise_stage(stage: Stage) -> StageSummary:
    """Return a stage of a run."""
    position, entry, model = stage.position(), stage.entry, stage.model
    return StageSummary(
        name=entry.name,
        kind=entry.kind,
        trainer=entry.trainer,
        algorithm=entry.algorithm,
        state=stage.state,
        step=position.step if position is not None else None,
        total=position.total if position is not None else entry.steps,
        metric=_metric(position),
        seconds=stage.seconds,
        seconds_left=position.seconds_left if position is not None and stage.state == "running" else None,
        model=str(model) if model is not None else None,
    )


def _summarise_step(step: Step) -> StepSummary:
    record, reached = step.record, step.reached if step.state == "running" else None
    return StepSummary(
        name=step.name,
        title=step.entry.title,
        stage=step.entry.stage,
        state=step.state,
        optional=step.entry.optional,
        started=step.started,
        seconds=step.seconds,
        attempts=record.attempts if record is not None else 0,
        reached=(reached.shown or show_steps(reached.step, reached.total)) if reached is not None else "",
        seconds_left=reached.seconds_left if reached is not None else None,
        reason=record.reason if record is not None else "",
        notes=record.notes if record is not None else [],
        failures=record.failures if record is not None else [],
        log=str(step.log),
    )


def show_steps(step: float, total: float | None) -> str:
    """Return `step 3/30`."""
    return f"step {step:,.0f}{f'/{total:,.0f}' if total else ''}"


def _metric(position: Position | None) -> Metric | None:
    if position is None or position.value is None:
        return None
    return Metric(name=position.metric, value=position.value if math.isfinite(position.value) else None)


def list_runs(parent: Path, *, count_size: bool = True) -> RunList:
    """Return the runs of a folder; those that cannot be read with the reason."""
    runs, unreadable = [], {}
    for path in find_runs(parent):
        try:
            runs.append(summarise(open_run(path), size_on_disk(path) if count_size else None))
        except InputError as error:
            unreadable[str(path)] = str(error)
        except PermissionError as error:
            unreadable[str(path)] = f"{error.filename or path} cannot be read: permission denied"
    for path in sorted(parent.glob("*/")):
        if not os.access(path, os.R_OK | os.X_OK):
            unreadable[str(path)] = f"{path} cannot be read: permission denied"
    return RunList(runs=runs, unreadable=unreadable)
