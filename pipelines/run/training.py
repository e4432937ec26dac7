"""Train a stage: attempt it, and resume it after a fault as the policy decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from pipelines.console.sizes import format_bytes
from pipelines.errors import StepError
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.records.steps import Failure, StepRecord, write_record
from pipelines.run.attempt import Hooks, TrainingFailed, run_attempt
from pipelines.run.faults.policy import decide
from pipelines.run.faults.room import free_bytes, needed_bytes
from pipelines.run.faults.stall import show_minutes
from pipelines.run.plan import Plan, Step, trainer_module
from pipelines.run.process import end_orphans
from pipelines.run.scratch import remove_scratch, scratch_folder

_POLL_SECONDS = 0.5
_ROOM_MINUTES = 30.0
"""How long a run waits for room on the disk if the recipe has no `stall_minutes`."""


def train(
    step: Step, plan: Plan, record: StepRecord, stage: SftStage | RlStage, hooks: Hooks, clear: Callable[[], None]
) -> None:
    """Train a stage to its end.

    Args:
        record: The step's record; gets the failures of its attempts, and is written after each.
        clear: Called before another attempt; ends what the failed one has left on other machines.

    Raises:
        StepError: the last attempt failed.
    """
    failures: list[Failure] = []
    while True:
        try:
            return run_attempt(step, plan, record, stage, hooks)
        except TrainingFailed as failed:
            last = _describe(plan, stage, record, failed)
            failures.append(last)
            decision = decide(failures, plan.recipe.retries)
            record.failures = [*record.failures, replace(last, resumed=decision.resume)]
            if not decision.resume:
                raise _with_reason(failed.error, decision.why) from None
            place = f"step {last.checkpoint}" if last.checkpoint else "the beginning"
            resumes = f"resumes from {place}, {decision.why}"
            hooks.display.say(f"  {step.name} failed at step {last.step}: {last.reason}; {resumes}")
            end_orphans(plan.directory)
            remove_scratch(scratch_folder(plan.directory))
            clear()
            if last.kind == "disk":
                _wait_for_room(plan, stage, hooks, failed.error)
            _pause(decision.pause, hooks)
            record.attempts, record.started = record.attempts + 1, datetime.now(UTC).isoformat(timespec="seconds")
            write_record(step.directory, record)


def _describe(plan: Plan, stage: SftStage | RlStage, record: StepRecord, failed: TrainingFailed) -> Failure:
    module, paths = trainer_module(stage), plan.paths(stage.name)
    rows = module.metrics(stage, paths)
    complete = module.checkpoints(paths).keys() - module.incomplete(paths).keys()
    return Failure(
        attempt=record.attempts,
        kind=failed.diagnosis.kind,
        reason=failed.diagnosis.reason,
        step=int(rows[-1]["step"]) if rows else 0,
        checkpoint=max(complete, default=0),
    )


def _with_reason(error: StepError, why: str) -> StepError:
    """Add to the first line of an error why there was no other attempt."""
    first, newline, rest = str(error).partition("\n")
    return StepError(f"{first} ({why}){newline}{rest}") if why else error


def _wait_for_room(plan: Plan, stage: SftStage | RlStage, hooks: Hooks, error: StepError) -> None:
    """Delete the incomplete checkpoint, and wait until there is room for another."""
    module, paths = trainer_module(stage), plan.paths(stage.name)
    unfinished = paths.checkpoints.iterdir() if paths.checkpoints.is_dir() else ()
    needed = needed_bytes(each for each in unfinished if each.is_dir())
    with suppress(OSError):
        module.before_attempt(stage, paths)
    deadline = time.monotonic() + (plan.recipe.stall_minutes or _ROOM_MINUTES) * 60
    told = False
    while (free := free_bytes(paths.checkpoints)) < needed:
        if not told:
            told = True
            room = f"{format_bytes(needed)} are needed in {paths.checkpoints.parent}, {format_bytes(free)} are free"
            hooks.display.say(f"  waits for room on the disk: {room}; Ctrl-C stops the run, which can be resumed later")
        if time.monotonic() > deadline:
            limit = show_minutes((plan.recipe.stall_minutes or _ROOM_MINUTES) * 60)
            room = f"{format_bytes(needed)} are needed, {format_bytes(free)} are free"
            raise _with_reason(error, f"not retried: no room for {limit}, {room}")
        _pause(_POLL_SECONDS, hooks)


def _pause(seconds: float, hooks: Hooks) -> None:
    """Wait, while the display and the report stay current."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, _POLL_SECONDS))
        hooks.watch()
