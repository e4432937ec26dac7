"""The best checkpoint of a stage, and the note on it: how sure the choice is."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from pipelines.errors import StepError
from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import StagePaths
from pipelines.trainers.verl.checkpoints.best import Criterion, find_best, find_criterion
from pipelines.trainers.verl.checkpoints.metrics import validation_metrics
from pipelines.trainers.verl.checkpoints.validations import half_width, read_validation
from pipelines.trainers.verl.rendering import validations_folder
from rewards.suggestions import did_you_mean

_NAMED = 3
"""How many steps a note lists by their numbers."""

Row = Mapping[str, float]


def check_best_metric(stage: RlStage, rows: Sequence[Row]) -> None:
    """Check at the first validation that `best_metric` exists.

    Raises:
        StepError: It does not; suggests the nearest metric.
    """
    validated = next((row for row in rows if validation_metrics(row)), None) if stage.keep_best else None
    if validated is not None and find_criterion([validated], stage.best_metric).score(validated) is None:
        known = validation_metrics(validated)
        name = stage.best_metric or "val-core/*/reward/mean@*"
        raise StepError(
            f"best_metric {name} is not one of verl's validation metrics: {', '.join(known)}{did_you_mean(name, known)}"
        )


def choose_best(stage: RlStage, paths: StagePaths, rows: Sequence[Row], steps: Collection[int], last: int) -> tuple[int, str]:
    """Return the best of the steps, and a note: its score, the steps that may be as good, and the last step's score.

    Raises:
        StepError: No step has a finite score.
    """
    criterion = find_criterion(rows, stage.best_metric)
    best = find_best(rows, steps, criterion)
    if best is None:
        raise StepError(
            f"no checkpoint in {paths.checkpoints} was validated by {criterion.name} with a finite value: "
            "the best cannot be chosen"
        )
    by_step = {int(row["step"]): row for row in rows if criterion.metrics(row)}
    note = f"step {best[0]} is exported: best {criterion.name} {_figure(by_step[best[0]], criterion, paths)}"
    tied, near = _rivals(best, by_step, criterion, paths)
    note += _list(", the same as", tied) + _list(", not distinguishable from", near)
    if last != best[0]:
        note += f"; last step {last}: {_figure(by_step.get(last, {}), criterion, paths)}"
    return best[0], note


def _rivals(
    best: tuple[int, float], by_step: Mapping[int, Row], criterion: Criterion, paths: StagePaths
) -> tuple[list[int], list[int]]:
    """Return the other steps with the best score, and those whose difference is inside its 95 % interval."""
    folder = validations_folder(paths)
    chosen, metrics = read_validation(folder, best[0]), criterion.metrics(by_step[best[0]])
    tied, near = [], []
    for step, row in by_step.items():
        score = criterion.score(row)
        if step == best[0] or score is None or not math.isfinite(score):
            continue
        if score == best[1]:
            tied.append(step)
        elif (half := half_width(chosen, metrics, read_validation(folder, step))) is not None and abs(best[1] - score) <= half:
            near.append(step)
    return tied, near


def _figure(row: Row, criterion: Criterion, paths: StagePaths) -> str:
    score = criterion.score(row)
    if score is None or not math.isfinite(score):
        return "unknown"
    half = half_width(read_validation(validations_folder(paths), int(row["step"])), criterion.metrics(row))
    # If all rows have the same value, the normal distribution gives no interval.
    return f"{score:.4g}" + (f" ± {half:.2g}" if half else "")


def _list(text: str, steps: Sequence[int]) -> str:
    if not steps:
        return ""
    shown = [f"{step} (before training)" if step == 0 else str(step) for step in steps[:_NAMED]]
    more = f" and {len(steps) - _NAMED} more" if len(steps) > _NAMED else ""
    return f"{text} step {', '.join(shown)}{more}"
