"""What verl's two trainers leave: metrics, and checkpoints to resume from and to accept as a result.

verl 0.9.1 writes `global_step_N/` in this order: actor (every rank's files), critic, data.pt, the tracker file; then it calls
the checkpoint callback, with which the plugin writes `progress.json`. A checkpoint with this marker is complete. The SFT
trainer has no `actor/`: every rank's files are directly in `global_step_N/`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, StepError
from pipelines.recipe.nested import get_path
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.trainers.base import StagePaths, count_rows, rows_folder
from pipelines.trainers.checkpoint_files import NOT_WRITTEN, find_damage
from pipelines.trainers.verl.checkpoints.metrics import read_metrics
from pipelines.trainers.verl.checkpoints.rotation import read_marker, step_number
from pipelines.trainers.verl.rendering import metrics_folder
from preprocess import atomic


def metrics(stage: RlStage | SftStage, paths: StagePaths) -> list[dict[str, float]]:
    """Return the metrics of all attempts under verl's names, one mapping per step."""
    return read_metrics(metrics_folder(paths))


def weight_bytes(keys: Mapping[str, Any], engine: str) -> int:
    """Return the bytes per weight in a checkpoint; `engine` is the group of keys that configures it."""
    return 4 if get_path(keys, f"{engine}.model_dtype", "fp32") in ("fp32", "float32") else 2


def prepare_resume(stage: SftStage | RlStage, paths: StagePaths, needed_rows: Mapping[str, int]) -> int:
    """Delete incomplete checkpoints and point verl's tracker file at the newest complete one; return its step, or 0.

    verl writes the tracker file in place: a kill can leave it empty, and verl then fails to resume. With too few rows, verl
    fails with a division by zero half a minute after its start.
    """
    for split, needed in needed_rows.items():
        folder = rows_folder(stage, paths)
        rows = count_rows(folder, split)
        if rows is not None and rows < needed:
            raise InputError(f"stage {stage.name}: {rows} {split} rows in {folder}, at least {needed} are needed")
    for step in incomplete(paths):
        shutil.rmtree(paths.checkpoints / f"global_step_{step}")
    newest = max(complete_checkpoints(paths), default=0)
    tracker = paths.checkpoints / "latest_checkpointed_iteration.txt"
    if newest:
        atomic.write_text(tracker, str(newest))
    else:
        tracker.unlink(missing_ok=True)
    return newest


def complete_checkpoints(paths: StagePaths) -> dict[int, Mapping[str, Any]]:
    """Return the marker of each complete checkpoint by its step (plugin/checkpoint.py, `rotation.mark_and_rotate_sft`)."""
    markers = {folder: read_marker(folder) for folder in paths.checkpoints.glob("global_step_*")}
    return {
        step_number(folder): marker
        for folder, marker in markers.items()
        # Merging needs the tokenizer and configuration in these folders.
        if marker is not None and ((folder / "actor").is_dir() or (folder / "huggingface").is_dir())
    }


def incomplete(paths: StagePaths) -> dict[int, str]:
    """Return the checkpoints that were not written to their end."""
    complete = complete_checkpoints(paths)
    folders = {step_number(folder): folder for folder in paths.checkpoints.glob("global_step_*")}
    found = {step: find_damage(folder) if step in complete else NOT_WRITTEN for step, folder in folders.items()}
    return {step: reason for step, reason in found.items() if reason}


def checkpoints(paths: StagePaths) -> dict[int, Path]:
    """Return the complete checkpoints by their steps."""
    return {step: paths.checkpoints / f"global_step_{step}" for step in complete_checkpoints(paths)}


def check_finished(paths: StagePaths, steps: int | None) -> tuple[int, dict[int, Mapping[str, Any]]]:
    """Return the last step and all complete checkpoints of a training that reached its last step.

    verl exits with status 0 even if it trained nothing.

    Args:
        steps: the expected last step. None: the marker's `total_steps`, which verl computed after dropping overlong prompts
            and the incomplete last batch of each epoch.
    """
    complete = complete_checkpoints(paths)
    if not complete:
        raise StepError(f"verl ended without a complete checkpoint in {paths.checkpoints}")
    last = max(complete)
    expected = steps or int(complete[last].get("total_steps", 0))
    if last < expected:
        raise StepError(f"verl ended at step {last} of {expected}")
    return last, complete
