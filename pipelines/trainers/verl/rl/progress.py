"""How far a training is: the lines of verl's `file` logger, one file per attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.errors import StepError
from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Progress, StagePaths
from pipelines.trainers.verl.checkpoints.best import score_of, validation_metrics
from pipelines.trainers.verl.checkpoints.metric_files import TRAINED, read_metrics
from pipelines.trainers.verl.checkpoints.resume import whole_checkpoints
from pipelines.trainers.verl.variables import metrics_folder
from rewards.suggestions import did_you_mean

# What stands beside the bar, and under which of verl's names.
_SHOWN = (
    ("reward", "critic/score/mean"),
    ("kl", "actor/kl_loss"),
    ("kl", "actor/reward_kl_penalty"),
    ("entropy", "actor/entropy"),
    ("response tokens", "response_length/mean"),
)


def progress(stage: RlStage, paths: StagePaths) -> Progress | None:
    """The newest training step, with the mean reward first.

    Raises:
        StepError: see `check_best_metric`.
    """
    rows = metrics(stage, paths)
    check_best_metric(stage, rows)
    trained = [row for row in rows if TRAINED in row]
    if not trained:
        return None
    last = trained[-1]
    shown = {name: last[key] for name, key in _SHOWN if key in last}
    return Progress(int(last["step"]), _total(stage, paths), shown)


def metrics(stage: RlStage, paths: StagePaths) -> list[dict[str, float]]:
    """Every attempt's lines under verl's own names, one mapping per step."""
    return read_metrics(metrics_folder(paths))


def check_best_metric(stage: RlStage, rows: Sequence[Mapping[str, float]]) -> None:
    """Raises:
    StepError: the first validation does not know the metric by which the best checkpoint is to be chosen.
    """
    validated = next((row for row in rows if validation_metrics(row)), None)
    if stage.keep_best and validated is not None and score_of(validated, stage.best_metric) is None:
        known = validation_metrics(validated)
        name = stage.best_metric or "val-core/*/reward/mean@*"
        raise StepError(
            f"best_metric {name} is none of verl's validation metrics, which are {', '.join(known)}{did_you_mean(name, known)}"
        )


def lost_metrics(stage: RlStage, paths: StagePaths, last: int) -> tuple[str, ...]:
    """Says which steps up to the last one have no metrics.

    verl logs a step last, after its checkpoint (trainer/ppo/v1/trainer_base.py `train`): a kill in between loses its line.
    """
    known = {int(row["step"]) for row in metrics(stage, paths) if TRAINED in row}
    if lost := [str(step) for step in range(1, last + 1) if step not in known]:
        return (f"the metrics of step {', '.join(lost)} were lost: the run was killed between the checkpoint and the log",)
    return ()


def _total(stage: RlStage, paths: StagePaths) -> int | None:
    """Steps in all: as the recipe says, as verl counted them, or None before its first checkpoint."""
    if stage.steps is not None:
        return stage.steps
    counted = whole_checkpoints(paths)
    return int(counted[max(counted)]["total_steps"]) if counted else None
