"""verl as the trainer of reinforcement-learning stages (`pipelines.trainers.base.Trainer`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.errors import StepError
from pipelines.recipe.nested import unflatten
from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import HEADLINES, Context, DiskUsage, Launch, Progress, Result, StagePaths, count_rows, progress_of
from pipelines.trainers.samples import forget_after
from pipelines.trainers.verl.checkpoints import resume
from pipelines.trainers.verl.checkpoints.metrics import RL_STEP
from pipelines.trainers.verl.checkpoints.resume import checkpoints, incomplete, metrics
from pipelines.trainers.verl.rendering import merge, merge_module
from pipelines.trainers.verl.rl.best import check_best_metric, choose_best
from pipelines.trainers.verl.rl.config import launch
from pipelines.trainers.verl.rl.reward import check_is_scored, failed_rewards, failures_folder, keep_is_scored
from rewards.scoring.failures import archive_failures, read_stop_reason

__all__ = [
    "ANSWERS",
    "before_attempt",
    "checkpoints",
    "disk_usage",
    "export",
    "incomplete",
    "launch",
    "metrics",
    "progress",
    "result",
]

ANSWERS = "pipelines.trainers.verl.answers"

# Shown next to the progress bar: name, verl's metric.
_SHOWN = (
    HEADLINES["rl", "verl"],
    ("kl", "actor/kl_loss"),
    ("kl", "actor/reward_kl_penalty"),
    ("entropy", "actor/entropy"),
    ("response tokens", "response_length/mean"),
)


def disk_usage(stage: RlStage, context: Context, parameters: int) -> DiskUsage:
    """Every rank saves its shard of the weights, 32 bits by default, and of AdamW's two averages.

    With adapters it saves the whole policy's weights too, but only the adapters' averages. The critic has the size of the
    policy and is saved too (utils/checkpoint/fsdp_checkpoint_manager.py). The merged model has 16 bits
    (model_merger/fsdp_model_merger.py).
    """
    keys = unflatten(stage.verl)
    checkpoint = resume.weight_bytes(keys, "actor_rollout_ref.actor.fsdp_config") * (1 if stage.lora else 3)
    if stage.method.critic:
        checkpoint += 3 * resume.weight_bytes(keys, "critic.fsdp")
    return DiskUsage(checkpoint=checkpoint * parameters, export=2 * parameters)


def export(stage: RlStage, context: Context) -> Launch:
    """Render verl's merge of the policy's shards, and of adapters into the model; the critic is not exported."""
    return merge(context.paths.checkpoint / "actor", context, merge_module(stage))


def before_attempt(stage: RlStage, paths: StagePaths) -> int:
    """Reset the count of failed rewards, delete incomplete checkpoints and later samples; return the step to resume from."""
    keep_is_scored(stage, paths)
    archive_failures(failures_folder(paths))
    begins = resume.prepare_resume(stage, paths, {"train": stage.batch.prompts, "validation": 1})
    forget_after(paths.samples, begins)
    return begins


def progress(stage: RlStage, paths: StagePaths) -> Progress | None:
    """Return the newest training step, the mean reward first; abort if too many rewards failed."""
    if reason := read_stop_reason(failures_folder(paths)):
        raise StepError(reason)
    rows = metrics(stage, paths)
    check_best_metric(stage, rows)
    newest = next((row for row in reversed(rows) if RL_STEP in row), None)
    if newest is None:
        return None
    check_is_scored(stage, paths)
    # verl computes the steps of epochs; the total is unknown before its first checkpoint.
    total = stage.steps
    if total is None and (counted := resume.complete_checkpoints(paths)):
        total = int(counted[max(counted)]["total_steps"])
    return progress_of(newest, total, _SHOWN)


def result(stage: RlStage, paths: StagePaths) -> Result:
    """Return the last checkpoint, or the best with `keep_best`, with notes on lost rows, metrics and rewards."""
    rows = metrics(stage, paths)
    check_best_metric(stage, rows)
    last, complete = resume.check_finished(paths, stage.steps)
    check_is_scored(stage, paths)
    chosen, notes = (
        last,
        [*_dropped_rows(stage, paths, complete[last]), *lost_metrics(rows, last), *failed_rewards(stage, paths)],
    )
    if stage.keep_best:
        chosen, note = choose_best(stage, paths, rows, complete, last)
        notes.insert(0, note)
    return Result(paths.checkpoints / f"global_step_{chosen}", last, tuple(notes))


def lost_metrics(rows: Sequence[Mapping[str, float]], last: int) -> tuple[str, ...]:
    """Return a note on the steps up to the last one without metrics.

    verl logs a step after its checkpoint (trainer/ppo/v1/trainer_base.py `train`): a kill in between loses the line.
    """
    known = {int(row["step"]) for row in rows if RL_STEP in row}
    if lost := [str(step) for step in range(1, last + 1) if step not in known]:
        return (f"the metrics of step {', '.join(lost)} were lost: the run was killed between the checkpoint and the log",)
    return ()


def _dropped_rows(stage: RlStage, paths: StagePaths, marker: Mapping[str, Any]) -> Iterator[str]:
    """Yield notes on the rows that verl dropped for their long prompts, which it reports only in its log."""
    for split in ("train", "validation"):
        given, used = count_rows(paths.data, split), marker.get(f"{split}_rows")
        if given is not None and used is not None and used < given:
            limit = stage.rollout.max_prompt_tokens
            yield f"{given - used} of {given} {split} rows were dropped: their prompts are longer than {limit} tokens"
