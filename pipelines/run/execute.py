"""Execute the steps of a plan: skip what is complete, run the rest, record the outcome of each."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pipelines.digests import Digests
from pipelines.errors import PipelineError, StepError
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.records.steps import StepRecord, read_record, write_record
from pipelines.run import process, row_counts, skipping
from pipelines.run.attempt import Hooks, run_attempt
from pipelines.run.cluster.clearing import clear_nodes
from pipelines.run.display import Display
from pipelines.run.origin import origin_of, revisions_of
from pipelines.run.plan import Plan, Step
from pipelines.run.scratch import remove_scratch, scratch_folder
from pipelines.run.training import train
from pipelines.run.versions import versions_of
from pipelines.trainers.base import Progress


def execute(
    plan: Plan,
    steps: Sequence[Step],
    display: Display,
    *,
    fresh: bool = False,
    wait: Callable[[Step], None] = lambda step: None,
    check: Callable[[Step], None] = lambda step: None,
    progress: Callable[[Step], Progress | None] = row_counts.read_progress,
    watch: Callable[[], None] = lambda: None,
) -> list[str]:
    """Execute the steps that are not complete. The caller holds the run directory.

    Args:
        fresh: execute all of them from the beginning.
        wait: called before a step that must run; returns when its environments are built, or raises an error to stop the run.
        check: called after each step, also after a skipped one; raises an error to stop the run.
        progress: the progress of a running step that trains nothing.
        watch: called twice a second while a command runs.

    Returns:
        Why optional steps failed, one line each.

    Raises:
        InputError: the input of a step is wrong.
        StepError: a step failed; the steps before it stay complete. A training was resumed as the recipe's `retries` says.
        Stopped: the run was stopped; the next run resumes from there.
    """
    digests, hooks = Digests(plan.directory / "digests.json"), Hooks(display, progress, watch)
    swept = False
    warnings = []
    for step in steps:
        why = "--fresh" if fresh else skipping.why_run(step, plan, digests)
        if why is None:
            display.skipped(step)
            check(step)
            continue
        if not swept:
            # What a killed run of this directory has left.
            if names := process.end_orphans(plan.directory):
                display.say(f"ended orphaned processes of an earlier run: {', '.join(sorted(set(names)))}")
            remove_scratch(scratch_folder(plan.directory))
            swept = True
        wait(step)
        display.started(step, why)
        try:
            display.ended(step, _execute(step, plan, digests, hooks, fresh=fresh))
        except PipelineError as error:
            if not step.optional:
                raise
            warnings.append(f"{str(error).splitlines()[0]}; log: {step.directory / 'log'}")
            display.failed(step, str(error).splitlines()[0])
        digests.save()
        check(step)
    digests.save()
    return warnings


def _execute(step: Step, plan: Plan, digests: Digests, hooks: Hooks, *, fresh: bool) -> float:
    """Execute and record one step; return its wall time in seconds."""
    began = time.monotonic()
    stage = next((each for each in plan.recipe.stages if step.name == f"{each.name}/train"), None)
    before = read_record(step.directory)
    resumes = before is not None and not fresh and skipping.why_changed(step, plan, digests, before) is None
    if stage is not None and not resumes and (kept := _set_aside(plan, stage.name)):
        hooks.display.say(f"  the earlier results of stage {stage.name} are kept in {kept}")
    earlier = before if resumes else None
    now = StepRecord(
        command=skipping.digest_command(step, plan),
        inputs=skipping.digest_inputs(step, plan, digests),
        outcome="started",
        attempts=earlier.attempts + 1 if earlier else 1,
        started=_now(),
        seconds=earlier.seconds if earlier else 0.0,
        training_id="" if stage is None else earlier.training_id if earlier else secrets.token_hex(8),
        versions=versions_of(step, plan),
        origin=origin_of(step, plan),
        failures=earlier.failures if earlier else [],
    )
    write_record(step.directory, now)
    try:
        if stage is None:
            run_attempt(step, plan, now, stage, hooks)
        else:
            _train(step, plan, now, stage, hooks, first=before is None)
        now.outcome, now.outputs = "complete", skipping.digest_outputs(step, digests)
        now.execution_id = f"{now.started} {os.getpid()}"
        now.origin |= revisions_of(step, plan)  # downloaded by now
    except BaseException as error:
        if isinstance(error, PipelineError):
            now.outcome, now.reason = "failed", str(error).splitlines()[0]
        now.seconds = _seconds(earlier, began)
        with suppress(StepError):  # a full disk must not hide the error
            write_record(step.directory, now)
        raise
    now.seconds = _seconds(earlier, began)
    write_record(step.directory, now)
    shutil.rmtree(step.directory / "cache", ignore_errors=True)
    return time.monotonic() - began


def _train(step: Step, plan: Plan, record: StepRecord, stage: SftStage | RlStage, hooks: Hooks, *, first: bool) -> None:
    """Train a stage; on a cluster, no process of the run is left on its nodes."""
    clear = partial(clear_nodes, plan, step) if plan.recipe.hardware_of(stage).nodes > 1 else None
    if clear is not None and not first:
        clear()  # what an earlier run has left there could write to the checkpoints
    train(step, plan, record, stage, hooks, clear=clear or (lambda: None))
    if clear is not None:
        try:
            clear()
        except StepError as error:  # the training is complete
            record.notes.append(str(error))


def _seconds(earlier: StepRecord | None, began: float) -> float:
    """Return the wall time of all attempts."""
    return round((earlier.seconds if earlier else 0.0) + time.monotonic() - began, 3)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _set_aside(plan: Plan, stage: str) -> Path | None:
    """Move a stage's earlier results, except its rows, to `replaced/`; return the folder."""
    paths = plan.paths(stage)
    # With its record first: a kill in between must not leave a record without its results.
    steps = [paths.step(name) for name in ("train", "export-model", "handover")]
    results = [*steps, paths.checkpoints, paths.checkpoint, paths.export, paths.model, paths.metrics, paths.samples]
    # Metrics without a checkpoint, too: those of the new training must not follow them.
    if not any(path.exists() for path in (paths.checkpoints, paths.model, paths.metrics)):
        return None
    number = 1
    while (target := plan.directory / "replaced" / f"{stage}-{number}").exists():
        number += 1
    target.mkdir(parents=True)
    for path in results:
        if path.exists() or path.is_symlink():
            path.rename(target / path.name)
    return target
