"""verl's checkpoints: fit to resume from, known to be complete, merged into a HuggingFace folder.

verl 0.9.1 writes `global_step_N/` in this order: actor (every rank's files), critic, data.pt, the tracker file, and then
calls the checkpoint callback, with which the plugin writes `progress.json`. A checkpoint that has one is whole. Its SFT
trainer has no actor: every rank's files lie in `global_step_N/` itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, StepError
from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Context, Launch, Result, Saved, StagePaths
from pipelines.trainers.verl.checkpoints.best import find_best
from pipelines.trainers.verl.checkpoints.metric_files import read_metrics
from pipelines.trainers.verl.checkpoints.rotation import read_mark, step_of
from pipelines.trainers.verl.nested import look_up, unfold
from pipelines.trainers.verl.variables import environment, metrics_folder
from preprocess import atomic

_TRACKER = "latest_checkpointed_iteration.txt"


def export(stage: RlStage, context: Context) -> Launch:
    """verl's own merge of the policy's shards; the critic is not handed on. Pure."""
    return merge(context.paths.checkpoint / "actor", context)


def merge(shards: Path, context: Context) -> Launch:
    """verl's own merge of a folder of shards. Pure."""
    return Launch(
        argv=(
            str(context.python),
            "-m",
            "verl.model_merger",
            "merge",
            "--backend",
            "fsdp",
            "--local_dir",
            str(shards),
            "--target_dir",
            str(context.paths.export),
        ),
        environment=environment(context),
    )


def saved(stage: RlStage, context: Context, parameters: int) -> Saved:
    """Every rank saves its shard of the weights, 32 bits unless the recipe says otherwise, and of both of AdamW's averages.

    The critic is as large as the policy and saved beside it (utils/checkpoint/fsdp_checkpoint_manager.py). The merged model
    has 16 bits (model_merger/fsdp_model_merger.py).
    """
    keys = unfold(stage.verl)
    adapters = look_up(keys, "actor_rollout_ref.model.lora_rank", 0)
    checkpoint = weight_bytes(keys, "actor_rollout_ref.actor.fsdp_config") * (1 if adapters else 3)
    if stage.method.critic:
        checkpoint += 3 * weight_bytes(keys, "critic.fsdp")
    return Saved(checkpoint=checkpoint * parameters, export=2 * parameters)


def weight_bytes(keys: Mapping[str, Any], engine: str) -> int:
    """Bytes of a weight in a checkpoint; `engine` is the group of keys that says it."""
    return 4 if look_up(keys, f"{engine}.model_dtype", "fp32") in ("fp32", "float32") else 2


def before_attempt(stage: RlStage, paths: StagePaths) -> int:
    """Removes what a kill left half-written and points verl's tracker file at the newest whole checkpoint.

    The tracker is written in place, so a kill can leave it empty, on which verl would stumble for ever.

    Raises:
        InputError: the rows that were prepared do not make a single step.
    """
    for name, least in (("train", stage.batch.prompts), ("validation", 1)):
        check_rows(stage.name, paths, name, least)
    return point_at_newest(paths)


def point_at_newest(paths: StagePaths) -> int:
    """Removes checkpoints that are not whole and points the tracker file at the newest that is; its step, or 0."""
    whole = whole_checkpoints(paths)
    for folder in paths.checkpoints.glob("global_step_*"):
        if step_of(folder) not in whole:
            shutil.rmtree(folder)
    newest = max(whole, default=0)
    tracker = paths.checkpoints / _TRACKER
    if newest:
        atomic.write_text(tracker, str(newest))
    else:
        tracker.unlink(missing_ok=True)
    return newest


def result(stage: RlStage, paths: StagePaths) -> Result:
    """The last checkpoint, when it is the one that training was to end with; then the best instead, where it is asked for.

    verl ends with status 0 also when it has trained nothing; how many steps it meant to do is in the checkpoint, counted by
    verl itself after it had left out overlong prompts and the last, incomplete batch of each epoch.

    Raises:
        StepError: training ended early, without a checkpoint, or without a validation of any that is there.
    """
    whole = whole_checkpoints(paths)
    if not whole:
        raise StepError(f"verl ended without a whole checkpoint in {paths.checkpoints}")
    last = max(whole)
    expected = stage.steps or int(whole[last]["total_steps"])
    if last < expected:
        raise StepError(f"verl ended at step {last} of {expected}")
    notes = _left_out(stage, paths, whole[last])
    chosen = last
    if stage.keep_best:
        chosen, said = _choose_best(stage, paths, whole)
        notes = (said, *notes)
    return Result(paths.checkpoints / f"global_step_{chosen}", last, notes)


def _choose_best(stage: RlStage, paths: StagePaths, whole: Collection[int]) -> tuple[int, str]:
    """The step whose validation was best, and a line about it."""
    rows = read_metrics(metrics_folder(paths))
    best = find_best(rows, whole, stage.best_metric)
    name = stage.best_metric or "validation score"
    last = max(whole)
    if best is None:
        raise StepError(f"no checkpoint in {paths.checkpoints} was validated by {name}, so that none is known to be the best")
    if best.step == last:
        return last, f"the last checkpoint, of step {last}, is the best: {name} {best.score:.4g}"
    ended = find_best(rows, {last}, stage.best_metric)
    there = "unknown" if ended is None else f"{ended.score:.4g}"
    return best.step, f"step {best.step} is handed on as the best: {name} {best.score:.4g}; at the last step, {last}, {there}"


def _left_out(stage: RlStage, paths: StagePaths, progress: Mapping[str, Any]) -> tuple[str, ...]:
    """Rows that verl left out because their prompts are too long, which it says only in its log."""
    notes = []
    for name in ("train", "validation"):
        given, taken = count_rows(paths, name), progress.get(f"{name}_rows")
        if given is not None and taken is not None and taken < given:
            limit = stage.rollout.max_prompt_tokens
            notes.append(f"{given - taken} of {given} {name} rows were left out: their prompts are longer than {limit} tokens")
    return tuple(notes)


def whole_checkpoints(paths: StagePaths) -> dict[int, Mapping[str, Any]]:
    """Each whole checkpoint's step and what its `progress.json` says (plugin/checkpoint.py, plugin/sft_checkpoint.py)."""
    marks = {folder: read_mark(folder) for folder in paths.checkpoints.glob("global_step_*")}
    return {
        step_of(folder): mark
        for folder, mark in marks.items()
        # The tokenizer and configuration, without which nothing can be merged.
        if mark is not None and ((folder / "actor").is_dir() or (folder / "huggingface").is_dir())
    }


def check_rows(stage: str, paths: StagePaths, name: str, least: int) -> None:
    """verl meets too few rows with a division by zero, half a minute after it was started.

    Raises:
        InputError: there are fewer rows than that.
    """
    rows = count_rows(paths, name)
    if rows is not None and rows < least:
        raise InputError(f"stage {stage}: {rows} {name} rows in {paths.data}, at least {least} are needed")


def count_rows(paths: StagePaths, name: str) -> int | None:
    """How many rows were prepared; None when there is no such file."""
    from pyarrow.parquet import read_metadata

    file = paths.data / f"{name}.parquet"
    return int(read_metadata(file).num_rows) if file.exists() else None
