"""verl as a `pipelines.trainers.base.Trainer` of reinforcement-learning stages."""

from __future__ import annotations

from dataclasses import replace

from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Result, StagePaths
from pipelines.trainers.verl import checkpoints
from pipelines.trainers.verl.checkpoints import before_attempt, export
from pipelines.trainers.verl.progress import lost_metrics, metrics, progress
from pipelines.trainers.verl.rl import launch

__all__ = ["before_attempt", "export", "launch", "metrics", "progress", "result"]


def result(stage: RlStage, paths: StagePaths) -> Result:
    """The last checkpoint, and what was lost on the way to it (see `checkpoints.result`).

    Raises:
        StepError: training ended early, or without a checkpoint.
    """
    found = checkpoints.result(stage, paths)
    return replace(found, notes=(*found.notes, *lost_metrics(stage, paths, found.step)))
