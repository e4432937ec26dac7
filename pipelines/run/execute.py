"""Steps -> done: skip what is there, execute what is not, record how it ended."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pipelines.digests import Digests, write_atomically
from pipelines.errors import InputError, PipelineError, StepError
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.run import process, record, row_counts
from pipelines.run.display import Display
from pipelines.run.failure import describe_end, failure
from pipelines.run.plan import MODEL, PROMPTS, Plan, Step, trainer_module
from pipelines.run.record import Record
from pipelines.run.scratch import remove_scratch, scratch_folder
from pipelines.run.selection import Selection, select
from pipelines.trainers.base import StagePaths
from preprocess.errors import SourceError


def run(plan: Plan, selection: Selection, display: Display) -> None:
    """Does those of the selected steps that are not done yet; raises as `do`."""
    do(plan, select(plan, selection), display, fresh=selection.fresh)


def do(plan: Plan, steps: Sequence[Step], display: Display, *, fresh: bool = False) -> None:
    """Does those of the steps that are not done yet. The caller holds the run directory.

    Args:
        fresh: do them all anew.

    Raises:
        InputError: what was asked for cannot be begun.
        StepError: a step failed; those before it are done and stay so.
        process.Stopped: the run was asked to end; it goes on from there the next time.
    """
    digests = Digests(plan.directory / "digests.json")
    swept = False
    for step in steps:
        why = "asked for anew" if fresh else record.why_run(step, plan, digests)
        if why is None:
            display.skipped(step)
            continue
        if not swept:
            _sweep(plan, display)
            swept = True
        display.started(step, why)
        seconds = _execute(step, plan, digests, display, fresh=fresh)
        display.ended(step, seconds)
        digests.save()
    digests.save()


@contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Holds the run directory for this process alone.

    Raises:
        InputError: another process holds it; the message has its process id.
    """
    from filelock import FileLock, Timeout

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the run directory {directory}: {error.strerror}") from None
    owner = directory / "owner"
    lock = FileLock(directory / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = owner.read_text(encoding="utf-8").strip() if owner.exists() else "unknown"
        raise InputError(f"{directory} is in use by another `pipeline run`, process {holder}") from None
    try:
        write_atomically(owner, f"{os.getpid()}\n")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _execute(step: Step, plan: Plan, digests: Digests, display: Display, *, fresh: bool) -> float:
    """Does one step and records it; its wall time in seconds."""
    began = time.monotonic()
    stage = next((each for each in plan.recipe.stages if each.name == step.stage), None)
    training = stage if stage is not None and step.name.endswith("/train") else None
    before = record.read(step)
    goes_on = before is not None and not fresh and record.why_changed(step, plan, digests, before) is None
    if training is not None and not goes_on and (kept := _put_aside(plan, training.name)):
        display.say(f"  what stage {training.name} made before is kept in {kept}")
    now = Record(
        command=record.digest_command(step, plan),
        inputs=record.digest_inputs(step, plan, digests),
        outcome="started",
        attempts=before.attempts + 1 if before and goes_on else 1,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=before.seconds if before and goes_on else 0.0,
    )
    record.write(step, now)
    try:
        _attempt(step, plan, now, training, display)
    except PipelineError as error:
        now.outcome, now.reason = "failed", str(error).splitlines()[0]
        raise
    else:
        now.outcome, now.outputs = "complete", record.digest_outputs(step, digests)
        now.execution_id = f"{now.started} {os.getpid()}"
    finally:
        now.seconds = round(now.seconds + time.monotonic() - began, 3)
        record.write(step, now)
    shutil.rmtree(step.directory / "cache", ignore_errors=True)
    return time.monotonic() - began


def _attempt(step: Step, plan: Plan, now: Record, training: SftStage | RlStage | None, display: Display) -> None:
    """One go at a step's command, and the check that it did what it was for."""
    for name, text in step.launch.files.items():
        write_atomically(step.directory / name, text)
    write_atomically(step.directory / "command.sh", record.command_script(step))
    (step.directory / "command.sh").chmod(0o755)
    log = step.directory / "log"
    with log.open("a", encoding="utf-8") as sink:
        sink.write(f"--- attempt {now.attempts}, {now.started}\n")
    watch = _Watch(step, plan, training, display)
    try:
        outcome = process.run(
            step.launch.argv,
            cwd=step.directory,
            environment=step.launch.environment,
            log=log,
            run_directory=plan.directory,
            poll=watch.look,
        )
    except TrainingEndedError as error:
        raise failure(f"{step.name} was ended: {error}", log) from None
    finally:
        with suppress(TrainingEndedError):
            watch.look()
        watch.write_metrics()
    if outcome.leftovers:
        with log.open("a", encoding="utf-8") as sink:
            sink.write(f"--- ended what it left running: {', '.join(outcome.leftovers)}\n")
    if outcome.status != 0:
        reason = f"{step.name} {describe_end(outcome, log)}"
        if row_counts.is_preparation(step) and outcome.status == SourceError.exit_status:
            raise InputError(reason)
        raise failure(reason, log)
    if training is not None:
        paths = plan.paths(training.name)
        try:
            result = watch.trainer.result(training, paths)
        except StepError as error:
            raise failure(f"{step.name}: {error}", log) from None
        now.notes = list(result.notes)
        for note in now.notes:
            display.say(f"  note: {note}")
        _link(paths.checkpoint, result.checkpoint)
    for path in step.outputs:
        if not path.exists():
            raise failure(f"{step.name} ended well but left no {path}", log)
    if said := row_counts.describe(step):
        now.notes = [said]
        display.say(f"  {said}")
    if step.name in (PROMPTS, MODEL):
        now.notes = json.loads((step.directory / "notes.json").read_text(encoding="utf-8"))
        for note in now.notes:
            display.say(f"  note: {note}")


class TrainingEndedError(StepError):
    """A training that is of no use to go on."""


class _Watch:
    """Reads what the step tells of itself as it goes: a training by the trainer's own metric files."""

    def __init__(self, step: Step, plan: Plan, stage: SftStage | RlStage | None, display: Display) -> None:
        self._step, self._stage, self._display = step, stage, display
        if stage is None:
            return
        self.trainer = trainer_module(stage)
        self._paths: StagePaths = plan.paths(stage.name)
        begins = self.trainer.before_attempt(stage, self._paths)
        if begins:
            display.say(f"  goes on from the checkpoint at step {begins}")

    def look(self) -> None:
        if self._stage is None:
            if progress := row_counts.read_progress(self._step):
                self._display.progressed(self._step, progress)
            return
        try:
            progress = self.trainer.progress(self._stage, self._paths)
        except StepError as error:
            raise TrainingEndedError(str(error)) from None
        if progress is not None:
            self._display.progressed(self._step, progress)

    def write_metrics(self) -> None:
        if self._stage is None:
            return
        rows = self.trainer.metrics(self._stage, self._paths)
        if rows:
            write_atomically(self._paths.metrics, "".join(json.dumps(row) + "\n" for row in rows))


def _sweep(plan: Plan, display: Display) -> None:
    """Ends and removes what a killed run of this directory left behind."""
    if names := process.end_leftovers(plan.directory):
        display.say(f"ended what an earlier run left running: {', '.join(sorted(set(names)))}")
    remove_scratch(scratch_folder(plan.directory))


def _put_aside(plan: Plan, stage: str) -> Path | None:
    """Moves what an earlier training of the stage made, except its rows, to `replaced/`; where it went."""
    paths = plan.paths(stage)
    things = [
        path
        for path in (
            paths.step("train"),  # with its record first: a kill in between must not leave a record of what is gone
            paths.step("export-model"),
            paths.step("handover"),
            paths.checkpoints,
            paths.checkpoint,
            paths.export,
            paths.model,
            paths.metrics,
        )
        if path.exists() or path.is_symlink()
    ]
    if not paths.checkpoints.exists() and not paths.model.exists():
        return None
    number = 1
    while (target := plan.directory / "replaced" / f"{stage}-{number}").exists():
        number += 1
    target.mkdir(parents=True)
    for path in things:
        path.rename(target / path.name)
    return target


def _link(link: Path, target: Path) -> None:
    """Points the link at the target, in one rename."""
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)
