"""verl as a `pipelines.trainers.base.Trainer` of reinforcement-learning stages."""

from __future__ import annotations

from dataclasses import replace

from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Progress, Result, StagePaths
from pipelines.trainers.verl.checkpoints import resume
from pipelines.trainers.verl.checkpoints.resume import export, saved
from pipelines.trainers.verl.rl import progress as progress_file
from pipelines.trainers.verl.rl.config import launch
from pipelines.trainers.verl.rl.progress import check_best_metric, lost_metrics, metrics
from pipelines.trainers.verl.rl.reward import begin_attempt, check_rewards, failed_rewards

__all__ = ["ANSWERS", "before_attempt", "export", "launch", "metrics", "progress", "result", "saved"]

ANSWERS = "pipelines.trainers.verl.answers"


def before_attempt(stage: RlStage, paths: StagePaths) -> int:
    """The step from which training goes on (see `resume.before_attempt`); failed rewards are counted anew."""
    begin_attempt(paths)
    return resume.before_attempt(stage, paths)


def progress(stage: RlStage, paths: StagePaths) -> Progress | None:
    """Where training is (see `progress.progress`).

    Raises:
        StepError: its rewards are broken, or nothing says which checkpoint is the best, and it is not to go on.
    """
    check_rewards(paths)
    return progress_file.progress(stage, paths)


def result(stage: RlStage, paths: StagePaths) -> Result:
    """The last checkpoint or the best, and what was lost on the way to it (see `resume.result`).

    Raises:
        StepError: training ended early, or without a checkpoint, or on more failed rewards than the stage allows.
    """
    check_best_metric(stage, metrics(stage, paths))
    found = resume.result(stage, paths)
    return replace(found, notes=(*found.notes, *lost_metrics(stage, paths, found.step), *failed_rewards(stage, paths)))
