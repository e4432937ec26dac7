"""Execute the steps of a plan: skip what is complete, run the rest, record the outcome of each."""

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
from preprocess import atomic
from preprocess.errors import SourceError


def run(plan: Plan, selection: Selection, display: Display) -> None:
    """Execute the selected steps that are not complete; raises as `execute`."""
    execute(plan, select(plan, selection), display, fresh=selection.fresh)


def execute(plan: Plan, steps: Sequence[Step], display: Display, *, fresh: bool = False) -> None:
    """Execute the steps that are not complete. The caller holds the run directory.

    Args:
        fresh: execute all of them from the beginning.

    Raises:
        InputError: the input of a step is wrong.
        StepError: a step failed; the steps before it stay complete.
        process.Stopped: the run was stopped; the next run resumes from there.
    """
    digests = Digests(plan.directory / "digests.json")
    swept = False
    for step in steps:
        why = "--fresh" if fresh else record.why_run(step, plan, digests)
        if why is None:
            display.skipped(step)
            continue
        if not swept:
            _sweep(plan, display)
            swept = True
        display.started(step, why)
        display.ended(step, _execute(step, plan, digests, display, fresh=fresh))
        digests.save()
    digests.save()


@contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Hold the run directory for this process.

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
    """Execute and record one step; return its wall time in seconds."""
    began = time.monotonic()
    stage = next((each for each in plan.recipe.stages if each.name == step.stage), None)
    training = stage if stage is not None and step.name.endswith("/train") else None
    before = record.read(step)
    resumes = before is not None and not fresh and record.why_changed(step, plan, digests, before) is None
    if training is not None and not resumes and (kept := _set_aside(plan, training.name)):
        display.say(f"  the earlier results of stage {training.name} are kept in {kept}")
    now = Record(
        command=record.digest_command(step, plan),
        inputs=record.digest_inputs(step, plan, digests),
        outcome="started",
        attempts=before.attempts + 1 if before and resumes else 1,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=before.seconds if before and resumes else 0.0,
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
    """Run a step's command once and check its result."""
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
            poll=watch.poll,
        )
    except TrainingAbortedError as error:
        raise failure(f"{step.name} was aborted: {error}", log) from None
    finally:
        with suppress(TrainingAbortedError):
            watch.poll()
        watch.write_metrics()
    if outcome.orphans:
        with log.open("a", encoding="utf-8") as sink:
            sink.write(f"--- ended orphaned processes: {', '.join(outcome.orphans)}\n")
    if outcome.status != 0:
        reason = f"{step.name} {describe_end(outcome, log)}"
        if row_counts.prepares(step) and outcome.status == SourceError.exit_status:
            raise InputError(reason)
        raise failure(reason, log)
    if training is not None:
        paths = plan.paths(training.name)
        try:
            result = watch.trainer.result(training, paths)
        except StepError as error:
            raise failure(f"{step.name}: {error}", log) from None
        now.notes = list(result.notes)
        _link(paths.checkpoint, result.checkpoint)
    for path in step.outputs:
        if not path.exists():
            raise failure(f"{step.name} ended with status 0 but left no {path}", log)
    if counts := row_counts.describe(step):
        now.notes = [counts]
        display.say(f"  {counts}")
        return
    if step.name in (PROMPTS, MODEL):
        now.notes = json.loads((step.directory / "notes.json").read_text(encoding="utf-8"))
    for note in now.notes:
        display.say(f"  note: {note}")


class TrainingAbortedError(StepError):
    """Training was aborted early."""


class _Watch:
    """Read a step's progress while it runs: of a training, from the trainer's metric files."""

    def __init__(self, step: Step, plan: Plan, stage: SftStage | RlStage | None, display: Display) -> None:
        self._step, self._stage, self._display = step, stage, display
        if stage is None:
            return
        self.trainer = trainer_module(stage)
        self._paths: StagePaths = plan.paths(stage.name)
        if begins := self.trainer.before_attempt(stage, self._paths):
            display.say(f"  resumes from the checkpoint at step {begins}")

    def poll(self) -> None:
        """Report the progress.

        Raises:
            TrainingAbortedError: the trainer's metrics show that training is useless.
        """
        if self._stage is None:
            progress = row_counts.read_progress(self._step)
        else:
            try:
                progress = self.trainer.progress(self._stage, self._paths)
            except StepError as error:
                raise TrainingAbortedError(str(error)) from None
        if progress is not None:
            self._display.progressed(self._step, progress)

    def write_metrics(self) -> None:
        """Write the metrics of all attempts into one file."""
        if self._stage is not None and (rows := self.trainer.metrics(self._stage, self._paths)):
            write_atomically(self._paths.metrics, "".join(json.dumps(row) + "\n" for row in rows))


def _sweep(plan: Plan, display: Display) -> None:
    """End the orphaned processes and remove the temporary files of a killed run of this directory."""
    if names := process.end_orphans(plan.directory):
        display.say(f"ended orphaned processes of an earlier run: {', '.join(sorted(set(names)))}")
    remove_scratch(scratch_folder(plan.directory))


def _set_aside(plan: Plan, stage: str) -> Path | None:
    """Move a stage's earlier results, except its rows, to `replaced/`; return the folder."""
    paths = plan.paths(stage)
    results = (
        paths.step("train"),  # with its record first: a kill in between must not leave a record without its results
        paths.step("export-model"),
        paths.step("handover"),
        paths.checkpoints,
        paths.checkpoint,
        paths.export,
        paths.model,
        paths.metrics,
    )
    if not paths.checkpoints.exists() and not paths.model.exists():
        return None
    number = 1
    while (target := plan.directory / "replaced" / f"{stage}-{number}").exists():
        number += 1
    target.mkdir(parents=True)
    for path in results:
        if path.exists() or path.is_symlink():
            path.rename(target / path.name)
    return target


def _link(link: Path, target: Path) -> None:
    """Point the link at the target, in one rename."""
    with atomic.replacement(link) as temporary:
        temporary.symlink_to(os.path.relpath(target, link.parent))
