"""Execute the steps of a plan: skip what is complete, run the rest, record the outcome of each."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pipelines.digests import Digests, write_atomically
from pipelines.errors import InputError, PipelineError, StepError
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.records.steps import StepRecord, read_record, write_record
from pipelines.run import process, row_counts, skipping
from pipelines.run.display import Display
from pipelines.run.failure import describe_end, failure
from pipelines.run.live import LiveFiles
from pipelines.run.origin import origin_of, revisions_of
from pipelines.run.plan import PROMPTS, Plan, Step, trainer_module
from pipelines.run.scratch import remove_scratch, scratch_folder
from pipelines.run.versions import versions_of
from pipelines.trainers.base import Progress
from preprocess import atomic
from preprocess.errors import SourceError


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
        StepError: a step failed; the steps before it stay complete.
        process.Stopped: the run was stopped; the next run resumes from there.
    """
    digests = Digests(plan.directory / "digests.json")
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
            display.ended(step, _execute(step, plan, digests, display, progress, watch, fresh=fresh))
        except PipelineError as error:
            if not step.optional:
                raise
            warnings.append(f"{str(error).splitlines()[0]}; log: {step.directory / 'log'}")
            display.failed(step, str(error).splitlines()[0])
        digests.save()
        check(step)
    digests.save()
    return warnings


def _execute(
    step: Step,
    plan: Plan,
    digests: Digests,
    display: Display,
    progress: Callable[[Step], Progress | None],
    watch: Callable[[], None],
    *,
    fresh: bool,
) -> float:
    """Execute and record one step; return its wall time in seconds."""
    began = time.monotonic()
    stage = next((each for each in plan.recipe.stages if step.name == f"{each.name}/train"), None)
    before = read_record(step.directory)
    resumes = before is not None and not fresh and skipping.why_changed(step, plan, digests, before) is None
    if stage is not None and not resumes and (kept := _set_aside(plan, stage.name)):
        display.say(f"  the earlier results of stage {stage.name} are kept in {kept}")
    now = StepRecord(
        command=skipping.digest_command(step, plan),
        inputs=skipping.digest_inputs(step, plan, digests),
        outcome="started",
        attempts=before.attempts + 1 if before and resumes else 1,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=before.seconds if before and resumes else 0.0,
        training_id="" if stage is None else before.training_id if before and resumes else secrets.token_hex(8),
        versions=versions_of(step, plan),
        origin=origin_of(step, plan),
    )
    write_record(step.directory, now)
    on_cluster = stage is not None and plan.recipe.hardware_of(stage).nodes > 1
    try:
        if on_cluster and before is not None:
            _clear_nodes(plan, step)  # what an earlier attempt has left there could write to the checkpoints
        _attempt(step, plan, now, stage, display, progress, watch)
        if on_cluster:
            try:
                _clear_nodes(plan, step)
            except StepError as error:  # the training is complete
                now.notes.append(str(error))
    except PipelineError as error:
        now.outcome, now.reason = "failed", str(error).splitlines()[0]
        raise
    else:
        now.outcome, now.outputs = "complete", skipping.digest_outputs(step, digests)
        now.execution_id = f"{now.started} {os.getpid()}"
        now.origin |= revisions_of(step, plan)  # downloaded by now
    finally:
        now.seconds = round(now.seconds + time.monotonic() - began, 3)
        write_record(step.directory, now)
    shutil.rmtree(step.directory / "cache", ignore_errors=True)
    return time.monotonic() - began


def _clear_nodes(plan: Plan, step: Step) -> None:
    """End the processes of the run on the nodes of its cluster, and remove its temporary files there."""
    from pipelines.environments.ask import AskError
    from pipelines.run.cluster.nodes import end_orphans_on_nodes

    try:
        ended = end_orphans_on_nodes(plan.machine.pythons["verl"], plan.directory)
    except AskError as error:
        raise StepError(f"{step.name}: the nodes of the cluster cannot be cleared of its processes: {error}") from None
    with (step.directory / "log").open("a", encoding="utf-8") as sink:
        for node, names in sorted(ended.items()):
            sink.write(f"--- ended orphaned processes on {node}: {', '.join(names)}\n")


class TrainingAbortedError(StepError):
    """Training was aborted early."""


def _attempt(
    step: Step,
    plan: Plan,
    now: StepRecord,
    stage: SftStage | RlStage | None,
    display: Display,
    progress: Callable[[Step], Progress | None],
    watch: Callable[[], None],
) -> None:
    """Run a step's command once and check its result.

    Args:
        stage: the stage that the step trains, if any.
    """
    launch, log, paths = step.launch, step.directory / "log", plan.paths(str(step.stage))
    for name, text in {**launch.files, "command.sh": skipping.command_script(step)}.items():
        write_atomically(step.directory / name, text)
    (step.directory / "command.sh").chmod(0o755)
    with log.open("a", encoding="utf-8") as sink:
        sink.write(f"--- attempt {now.attempts}, {now.started}\n")
    if stage is not None and (begins := trainer_module(stage).before_attempt(stage, paths)):
        display.say(f"  resumes from the checkpoint at step {begins}")

    metrics = None if stage is None else (paths.metrics, partial(trainer_module(stage).metrics, stage, paths))
    live, reached = LiveFiles(step.directory, metrics), None

    def poll() -> None:
        nonlocal reached
        try:
            display.polled()
            reached = progress(step) if stage is None else trainer_module(stage).progress(stage, paths)
        except StepError as error:
            raise TrainingAbortedError(str(error)) from None
        if reached is not None:
            display.progressed(step, reached)
            live.update(reached)
        watch()

    try:
        outcome = process.run(
            launch.argv, cwd=step.directory, environment=launch.environment, log=log, run_directory=plan.directory, poll=poll
        )
    except TrainingAbortedError as error:
        raise failure(f"{step.name} was aborted: {error}", log) from None
    finally:
        with suppress(TrainingAbortedError):
            poll()
        display.polled(ended=True)
        live.end(reached)
    if outcome.orphans:
        with log.open("a", encoding="utf-8") as sink:
            sink.write(f"--- ended orphaned processes: {', '.join(outcome.orphans)}\n")
    if outcome.status != 0:
        reason = f"{step.name} {describe_end(outcome, log)}"
        if step.prepares and outcome.status == SourceError.exit_status:
            raise InputError(reason)
        raise failure(reason, log)
    if stage is not None:
        try:
            result = trainer_module(stage).result(stage, paths)
        except StepError as error:
            raise failure(f"{step.name}: {error}", log) from None
        now.notes = list(result.notes)
        with atomic.replacement(paths.checkpoint) as link:
            link.symlink_to(os.path.relpath(result.checkpoint, link.parent))
    for path in step.outputs:
        if not path.exists():
            raise failure(f"{step.name} ended with status 0 but left no {path}", log)
    if step.prepares:
        now.notes = [row_counts.describe(step)]
    elif step.name == PROMPTS or step.makes_model:
        now.notes = json.loads((step.directory / "notes.json").read_text(encoding="utf-8"))
    for note in now.notes:
        display.say(f"  {note}" if step.prepares else f"  note: {note}")


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
