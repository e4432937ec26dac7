"""verl as a `pipelines.trainers.base.Trainer` of supervised stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.errors import StepError
from pipelines.recipe.schema import SftStage
from pipelines.trainers.base import Context, Launch, Progress, Result, Saved, StagePaths
from pipelines.trainers.verl.checkpoints.best import LOSS, find_least_loss
from pipelines.trainers.verl.checkpoints.metric_files import read_metrics
from pipelines.trainers.verl.checkpoints.resume import (
    check_rows,
    count_rows,
    merge,
    point_at_newest,
    weight_bytes,
    whole_checkpoints,
)
from pipelines.trainers.verl.nested import look_up, unfold
from pipelines.trainers.verl.sft.config import launch
from pipelines.trainers.verl.variables import metrics_folder

__all__ = ["ANSWERS", "before_attempt", "export", "launch", "metrics", "progress", "result", "saved"]

ANSWERS = "pipelines.trainers.verl.answers"

_SHOWN = (("loss", "train/loss"), ("eval_loss", "val/loss"), ("lr", "train/lr"))


def saved(stage: SftStage, context: Context, parameters: int) -> Saved:
    """Every rank saves its shard of the weights, 32 bits unless the recipe says otherwise, and of both of AdamW's averages.

    Of adapters it saves the whole model's weights too, and averages of the adapters alone. The merged model has 16 bits.
    """
    weights = weight_bytes(unfold(stage.verl), "engine")
    return Saved(checkpoint=weights * (1 if stage.lora else 3) * parameters, export=2 * parameters)


def export(stage: SftStage, context: Context) -> Launch:
    """verl's own merge of the shards; adapters are then merged into the model, which verl leaves beside each other. Pure."""
    rendered = merge(context.paths.checkpoint, context)
    if stage.lora is None:
        return rendered
    python, _, _, *arguments = rendered.argv
    return Launch(
        argv=(python, "-m", "pipelines.trainers.verl.checkpoints.merge_adapters", *arguments), environment=rendered.environment
    )


def before_attempt(stage: SftStage, paths: StagePaths) -> int:
    """Removes what a kill left half-written; the step from which training goes on.

    Raises:
        InputError: the rows that were prepared do not make a single step, or none is there to validate.
    """
    check_rows(stage.name, paths, "train", _rows_per_step(paths))
    if stage.validate_every is not None:
        check_rows(stage.name, paths, "validation", 1)
    return point_at_newest(paths)


def progress(stage: SftStage, paths: StagePaths) -> Progress | None:
    """The newest training step, with the loss first."""
    rows = metrics(stage, paths)
    if not rows:
        return None
    shown = {name: rows[-1][key] for name, key in _SHOWN if key in rows[-1]}
    return Progress(int(rows[-1]["step"]), _total(stage, paths), shown)


def metrics(stage: SftStage, paths: StagePaths) -> list[dict[str, float]]:
    """Every attempt's lines under verl's own names, one mapping per step."""
    return read_metrics(metrics_folder(paths))


def result(stage: SftStage, paths: StagePaths) -> Result:
    """The last checkpoint, or the best, when training reached the step that it was to end with.

    Raises:
        StepError: training ended early, or without a checkpoint.
    """
    whole = whole_checkpoints(paths)
    if not whole:
        raise StepError(f"verl ended without a whole checkpoint in {paths.checkpoints}")
    last, expected = max(whole), _total(stage, paths)
    if expected is not None and last < expected:
        raise StepError(f"verl ended at step {last} of {expected}")
    chosen, notes = _choose(stage, whole)
    return Result(paths.checkpoints / f"global_step_{chosen}", last, (*notes, *_untrained_rows(stage, paths)))


def _choose(stage: SftStage, whole: Mapping[int, Mapping[str, Any]]) -> tuple[int, tuple[str, ...]]:
    """The step to hand on, and what a person should know of the choice."""
    last = max(whole)
    if not stage.keep_best:
        return last, ()
    best = find_least_loss(whole)
    if best is None or LOSS not in whole[last]:
        raise StepError(f"step {last} was saved without a validation loss: the best cannot be chosen")
    said = f"step {best} is handed on: its validation loss, {whole[best][LOSS]:.4g}, is the least"
    return best, (said if best == last else f"{said}; the last, step {last}, has {whole[last][LOSS]:.4g}",)


def _untrained_rows(stage: SftStage, paths: StagePaths) -> tuple[str, ...]:
    """Rows of an incomplete last batch, which verl's data loader drops (trainer/sft_trainer.py, v0.9.1)."""
    rows, batch = count_rows(paths, "train"), _rows_per_step(paths)
    if not rows or not rows % batch:
        return ()
    steps, dropped = divmod(rows, batch)
    return (f"an epoch has {steps} steps of {batch} rows: {dropped} of {rows} rows, others each time, are left out of it",)


def _total(stage: SftStage, paths: StagePaths) -> int | None:
    """Steps in all, as verl counts them; None when the rows are not there."""
    if stage.steps is not None:
        return stage.steps
    rows = count_rows(paths, "train")
    assert stage.epochs is not None
    return None if rows is None else int(stage.epochs) * (rows // _rows_per_step(paths))


def _rows_per_step(paths: StagePaths) -> int:
    """What the configuration says, which counts the machine's devices in."""
    from ruamel.yaml import YAML

    settings = YAML(typ="safe", pure=True).load(paths.step("train") / "train.yaml")
    return int(look_up(settings, "data.train_batch_size"))
