"""Run a step's command once and check its result."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pipelines.digests import write_atomically
from pipelines.errors import InputError, PipelineError, StepError
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.records.steps import StepRecord
from pipelines.run import process, row_counts, skipping
from pipelines.run.display import Display
from pipelines.run.failure import describe_end, failure, last_attempt
from pipelines.run.faults.diagnosis import Diagnosis, Kind, diagnose
from pipelines.run.faults.memory import oom_kills
from pipelines.run.faults.room import is_full
from pipelines.run.faults.stacks import find_py_spy, write_stacks
from pipelines.run.faults.stall import StallWatch
from pipelines.run.live import LiveFiles
from pipelines.run.plan import PROMPTS, Plan, Step, trainer_module
from pipelines.trainers.base import Progress
from preprocess import atomic
from preprocess.errors import SourceError


@dataclass(frozen=True)
class Hooks:
    """What a running step is shown with and watched by."""

    display: Display
    progress: Callable[[Step], Progress | None] = row_counts.read_progress
    """The progress of a step that trains nothing."""
    watch: Callable[[], None] = lambda: None
    """Called twice a second while a command runs."""


class TrainingFailed(PipelineError):  # noqa: N818 (a result of an attempt, which may be followed by another)
    """An attempt to train a stage ended early.

    Args:
        diagnosis: Why.
        error: What to raise if there is no other attempt.
    """

    def __init__(self, diagnosis: Diagnosis, error: StepError) -> None:
        super().__init__(str(error))
        self.diagnosis = diagnosis
        self.error = error


class _AbortedError(StepError):
    """Training was aborted early: continuing is useless."""


class _StalledError(StepError):
    """The trainer shows no sign of progress."""


def run_attempt(step: Step, plan: Plan, record: StepRecord, stage: SftStage | RlStage | None, hooks: Hooks) -> None:
    """Run a step's command once and check its result.

    Args:
        record: The step's record; gets its notes.
        stage: the stage that the step trains, if any.

    Raises:
        TrainingFailed: the attempt to train ended early.
        PipelineError: another step failed.
    """
    launch, log = step.launch, step.directory / "log"
    for name, text in {**launch.files, "command.sh": skipping.command_script(step)}.items():
        write_atomically(step.directory / name, text)
    (step.directory / "command.sh").chmod(0o755)
    with log.open("a", encoding="utf-8") as sink:
        sink.write(f"--- attempt {record.attempts}, {record.started}\n")
    if stage is not None:
        _prepare_resume(plan, stage, hooks.display)
    killed_before = oom_kills()
    try:
        outcome = _run_command(step, plan, record, stage, hooks)
    except _AbortedError as error:
        raise _failed("refused", failure(f"{step.name} was aborted: {error}", log)) from None
    except _StalledError as error:
        raise _failed("hang", failure(f"{step.name} was ended: {error}", log), str(error)) from None
    except process.SupervisorError as error:
        raise _failed("killed", error) if stage is not None else error from None
    except process.StuckError as error:
        raise _failed("stuck", error) if stage is not None else error from None
    if outcome.orphans:
        with suppress(OSError), log.open("a", encoding="utf-8") as sink:
            sink.write(f"--- ended orphaned processes: {', '.join(outcome.orphans)}\n")
    if outcome.status != 0:
        _raise_failure(step, plan, stage, outcome, oom_kills() - killed_before)
    if stage is not None:
        _accept_training(step, plan, record, stage)
    for path in step.outputs:
        if not path.exists():
            raise failure(f"{step.name} ended with status 0 but left no {path}", log)
    if step.prepares:
        record.notes = [row_counts.describe(step)]
    elif step.name == PROMPTS or step.makes_model:
        record.notes = json.loads((step.directory / "notes.json").read_text(encoding="utf-8"))
    for note in record.notes:
        hooks.display.say(f"  {note}" if step.prepares else f"  note: {note}")


def _failed(kind: Kind, error: StepError, reason: str = "") -> TrainingFailed:
    return TrainingFailed(Diagnosis(kind, reason or str(error).splitlines()[0]), error)


def _prepare_resume(plan: Plan, stage: SftStage | RlStage, display: Display) -> None:
    """Delete incomplete checkpoints and report from which one training resumes."""
    module, paths = trainer_module(stage), plan.paths(stage.name)
    incomplete = module.incomplete(paths)
    begins = module.before_attempt(stage, paths)
    for number, why in sorted(incomplete.items()):
        instead = f"the one at step {begins} is used" if begins else "training starts from the beginning"
        display.say(f"  the checkpoint at step {number} is incomplete and was deleted ({why}): {instead}")
    if begins:
        display.say(f"  resumes from the checkpoint at step {begins}")


def _run_command(step: Step, plan: Plan, record: StepRecord, stage: SftStage | RlStage | None, hooks: Hooks) -> process.Outcome:
    launch, log, paths, display = step.launch, step.directory / "log", plan.paths(str(step.stage)), hooks.display
    metrics = None if stage is None else (paths.metrics, partial(trainer_module(stage).metrics, stage, paths))
    live, reached = LiveFiles(step.directory, metrics), None
    several = stage is not None and plan.recipe.hardware_of(stage).nodes > 1
    minutes = None if stage is None else plan.recipe.stall_minutes
    stall = StallWatch(minutes, log, time.monotonic(), is_elsewhere=several)

    def poll() -> None:
        nonlocal reached
        try:
            display.polled()
            reached = hooks.progress(step) if stage is None else trainer_module(stage).progress(stage, paths)
        except StepError as error:
            raise _AbortedError(str(error)) from None
        if reached is not None:
            display.progressed(step, reached)
            live.update(reached)
        hooks.watch()

    def watch(supervisor: int) -> None:
        if why := stall.check(time.monotonic(), reached.step if reached else 0, supervisor):
            raise _StalledError(why + _describe_stacks(step, plan, record, supervisor))

    try:
        return process.run(
            launch.argv,
            cwd=step.directory,
            environment=launch.environment,
            log=log,
            run_directory=plan.directory,
            poll=poll,
            watch=watch,
        )
    finally:
        with suppress(_AbortedError):
            poll()
        display.polled(ended=True)
        _end(live, reached, plan)


def _end(live: LiveFiles, reached: Progress | None, plan: Plan) -> None:
    """Write the last metrics; on a full disk the next attempt writes them."""
    try:
        live.end(reached)
    except StepError:
        if not is_full(plan.directory):
            raise


def _describe_stacks(step: Step, plan: Plan, record: StepRecord, supervisor: int) -> str:
    """Write the stacks of a stuck trainer; return where it waits, if that is known."""
    py_spy = find_py_spy(python.parent for python in (*plan.machine.pythons.values(), plan.machine.orchestrator))
    if py_spy is None:
        return "; install py-spy to see where"
    file = step.directory / f"stacks-{record.attempts}.txt"
    place = write_stacks(py_spy, supervisor, file)
    return f"; it waits {place}; stacks: {file}" if place else f"; stacks: {file}"


def _raise_failure(step: Step, plan: Plan, stage: SftStage | RlStage | None, outcome: process.Outcome, killed: int) -> None:
    log = step.directory / "log"
    ended = describe_end(outcome, log)
    reason = f"{step.name} {ended}"
    if step.prepares and outcome.status == SourceError.exit_status:
        raise InputError(reason)
    if stage is None:
        raise failure(reason, log)
    found = diagnose(outcome.status, ended, last_attempt(log), is_full=is_full(plan.directory), oom_kills=killed)
    if found.kind not in ("error", "refused") and found.reason != ended:
        reason = f"{step.name}: {found.reason}"
    raise TrainingFailed(found, failure(reason, log))


def _accept_training(step: Step, plan: Plan, record: StepRecord, stage: SftStage | RlStage) -> None:
    """Link the checkpoint that the training gives."""
    paths = plan.paths(stage.name)
    try:
        result = trainer_module(stage).result(stage, paths)
    except StepError as error:
        raise _failed("refused", failure(f"{step.name}: {error}", step.directory / "log")) from None
    record.notes = list(result.notes)
    with atomic.replacement(paths.checkpoint) as link:
        link.symlink_to(os.path.relpath(result.checkpoint, link.parent))
