"""verl as the trainer of supervised stages (`pipelines.trainers.base.Trainer`)."""

from __future__ import annotations

from pipelines.errors import StepError
from pipelines.recipe.schema import SftStage
from pipelines.trainers.base import Context, DiskUsage, Launch, Progress, Result, StagePaths, best_note, progress_of
from pipelines.trainers.verl.checkpoints.best import LOSS, find_lowest_loss
from pipelines.trainers.verl.checkpoints.resume import (
    check_finished,
    count_rows,
    merge,
    metrics,
    prepare_resume,
    weight_bytes,
)
from pipelines.trainers.verl.nested import get_path, unflatten
from pipelines.trainers.verl.sft.config import launch

__all__ = ["ANSWERS", "before_attempt", "disk_usage", "export", "launch", "metrics", "progress", "result"]

ANSWERS = "pipelines.trainers.verl.answers"

_SHOWN = (("loss", "train/loss"), ("eval_loss", "val/loss"), ("lr", "train/lr"))


def disk_usage(stage: SftStage, context: Context, parameters: int) -> DiskUsage:
    """Every rank saves its shard of the weights, 32 bits by default, and of AdamW's two averages.

    With adapters it saves the whole model's weights too, but only the adapters' averages. The merged model has 16 bits.
    """
    weights = weight_bytes(unflatten(stage.verl), "engine")
    return DiskUsage(checkpoint=weights * (1 if stage.lora else 3) * parameters, export=2 * parameters)


def export(stage: SftStage, context: Context) -> Launch:
    """Render verl's merge of the shards; adapters, which verl leaves separate, are then merged into the model."""
    module = "pipelines.trainers.verl.checkpoints.merge_adapters" if stage.lora else "verl.model_merger"
    return merge(context.paths.checkpoint, context, module)


def before_attempt(stage: SftStage, paths: StagePaths) -> int:
    """Delete incomplete checkpoints; return the step to resume from.

    Raises:
        InputError: the prepared rows do not fill a single step, or the validation rows are missing.
    """
    validation = {} if stage.validate_every is None else {"validation": 1}
    return prepare_resume(stage.name, paths, {"train": _rows_per_step(paths), **validation})


def progress(stage: SftStage, paths: StagePaths) -> Progress | None:
    """Return the newest training step, the loss first."""
    rows = metrics(stage, paths)
    return progress_of(rows[-1], _total_steps(stage, paths), _SHOWN) if rows else None


def result(stage: SftStage, paths: StagePaths) -> Result:
    """Return the last checkpoint, or the best with `keep_best`.

    Raises:
        StepError: training ended early or without a checkpoint, or the last checkpoint has no validation loss.
    """
    last, complete = check_finished(paths, _total_steps(stage, paths))
    chosen, notes = last, _dropped_rows(paths)
    if stage.keep_best:
        best = find_lowest_loss(complete)
        if best is None or LOSS not in complete[last]:
            raise StepError(f"step {last} was saved without a validation loss: the best checkpoint cannot be chosen")
        note = best_note("lowest validation loss", best, complete[best][LOSS], last, complete[last][LOSS])
        chosen, notes = best, (note, *notes)
    return Result(paths.checkpoints / f"global_step_{chosen}", last, notes)


def _dropped_rows(paths: StagePaths) -> tuple[str, ...]:
    """Return a note on the incomplete last batch, which verl's data loader drops (trainer/sft_trainer.py, v0.9.1)."""
    rows, batch = count_rows(paths, "train"), _rows_per_step(paths)
    if not rows or not rows % batch:
        return ()
    steps, dropped = divmod(rows, batch)
    return (f"an epoch has {steps} steps of {batch} rows: {dropped} of {rows} rows are dropped, different ones each epoch",)


def _total_steps(stage: SftStage, paths: StagePaths) -> int | None:
    """Return the number of steps as verl counts them; None if the rows are missing."""
    if stage.steps is not None:
        return stage.steps
    rows = count_rows(paths, "train")
    assert stage.epochs is not None
    return None if rows is None else int(stage.epochs) * (rows // _rows_per_step(paths))


def _rows_per_step(paths: StagePaths) -> int:
    """Return the rendered batch size, over all devices."""
    from ruamel.yaml import YAML

    settings = YAML(typ="safe", pure=True).load(paths.step("train") / "train.yaml")
    return int(get_path(settings, "data.train_batch_size"))
