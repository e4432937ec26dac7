"""How far a training is: the lines of verl's `file` logger, one file per attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Progress, StagePaths
from pipelines.trainers.verl.checkpoints import whole_checkpoints
from pipelines.trainers.verl.environment import metrics_folder

# What stands beside the bar, and under which of verl's names.
_SHOWN = (
    ("reward", "critic/score/mean"),
    ("kl", "actor/kl_loss"),
    ("kl", "actor/reward_kl_penalty"),
    ("entropy", "actor/entropy"),
    ("response tokens", "response_length/mean"),
)

# Only a training step has it; a validation before the first step has not.
_TRAINED = "training/global_step"


def progress(stage: RlStage, paths: StagePaths) -> Progress | None:
    """The newest training step, with the mean reward first."""
    trained = [row for row in metrics(stage, paths) if _TRAINED in row]
    if not trained:
        return None
    last = trained[-1]
    shown = {name: last[key] for name, key in _SHOWN if key in last}
    return Progress(int(last["step"]), _total(stage, paths), shown)


def metrics(stage: RlStage, paths: StagePaths) -> list[dict[str, float]]:
    """Every attempt's lines under verl's own names, one mapping per step."""
    steps: dict[int, dict[str, float]] = {}
    for file in sorted(metrics_folder(paths).glob("*.jsonl"), key=_started):
        attempt = list(_rows(file))
        if attempt:
            # A resumed attempt begins with a validation of the step it resumed from, or with the step after it. What an
            # earlier attempt did beyond that was lost with it.
            first = attempt[0]
            kept = first["step"] - 1 if _TRAINED in first else first["step"]
            steps = {step: row for step, row in steps.items() if step <= kept}
        for row in attempt:
            steps.setdefault(int(row["step"]), {}).update(row)
    return [steps[step] for step in sorted(steps)]


def lost_metrics(stage: RlStage, paths: StagePaths, last: int) -> tuple[str, ...]:
    """Says which steps up to the last one have no metrics.

    verl logs a step last, after its checkpoint (trainer/ppo/v1/trainer_base.py `train`): a kill in between loses its line.
    """
    known = {int(row["step"]) for row in metrics(stage, paths) if _TRAINED in row}
    if lost := [str(step) for step in range(1, last + 1) if step not in known]:
        return (f"the metrics of step {', '.join(lost)} were lost: the run was killed between the checkpoint and the log",)
    return ()


def _total(stage: RlStage, paths: StagePaths) -> int | None:
    """Steps in all: as the recipe says, as verl counted them, or None before its first checkpoint."""
    if stage.steps is not None:
        return stage.steps
    counted = whole_checkpoints(paths)
    return int(counted[max(counted)]["total_steps"]) if counted else None


def _rows(file: Path) -> Iterator[dict[str, float]]:
    for line in file.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # being written, or cut short by a kill: the step is trained, and logged, again
        numbers = {key: value for key, value in entry["data"].items() if type(value) in (int, float)}
        yield {"step": entry["step"], **numbers}


def _started(file: Path) -> int:
    """When the attempt began; the plugin puts it into the name."""
    return int(file.name.partition("-")[0])
