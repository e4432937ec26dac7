"""A stage's rewards: what verl is configured with, and the handling of failed rewards."""

from __future__ import annotations

import math
from pathlib import Path

from pipelines.errors import StepError
from pipelines.recipe.nested import Settings, count_workers, get_path
from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Context, StagePaths
from rewards.scoring.failures import FILE, read_counts

ARGUMENTS = "reward.custom_reward_function.reward_kwargs"
"""verl's key for the arguments of the reward function."""

NOT_IN_CACHE_KEY = ("max_failed", "seconds", "workers", "sandbox")
"""Arguments that decide how rewards are computed and when to abort, not a response's score."""


def reward_function(stage: RlStage, context: Context, settings: Settings) -> Settings:
    """Return verl's `reward.custom_reward_function`: this project's function with the recipe's rewards."""
    # It calls from a process's main thread and rejects coroutines (experimental/reward_loop/reward_manager/remote.py).
    blocking = get_path(settings, "reward.reward_manager.name") == "remote"
    workers = count_workers(settings, "reward.num_workers")
    arguments: Settings = {
        "rewards": [{"name": each.name, **each.model_dump(exclude={"name"}, exclude_defaults=True)} for each in stage.rewards],
        "max_failed": stage.max_failed_rewards,
        "seconds": stage.max_reward_seconds,
        "failures": str(failures_folder(context.paths) / FILE),
        # verl distributes them round-robin over the machines. With a blocking manager each starts as many processes.
        "workers": math.ceil((workers**2 if blocking else workers) / context.recipe.hardware_of(stage).nodes),
        "sandbox": context.recipe.sandbox.model_dump(exclude_defaults=True),
    }
    name = "compute_score_blocking" if blocking else "compute_score"
    return {"reward": {"custom_reward_function": {"path": "pkg://rewards.entry", "name": name, "reward_kwargs": arguments}}}


def failures_folder(paths: StagePaths) -> Path:
    """Return the folder of the failed rewards and the counts of scored rows."""
    return paths.step("train") / "rewards"


def check_is_scored(stage: RlStage, paths: StagePaths) -> None:
    """Check after the first step that another entry point scores responses with the recipe's reward.

    Raises:
        StepError: It does not.
    """
    if stage.entry is None or stage.max_failed_rewards == 1 or _scored(paths).exists():
        return
    if not read_counts(failures_folder(paths)).rows:
        message = f"{stage.entry} ignores the recipe's `reward`: it scored no response with it"
        raise StepError(f"{message}; set `max_failed_rewards: 1` to accept this")


def keep_is_scored(stage: RlStage, paths: StagePaths) -> None:
    """Keep for `check_is_scored` that an attempt scored responses, before its counts are reset."""
    if stage.entry is not None and read_counts(failures_folder(paths)).rows:
        _scored(paths).touch()


def _scored(paths: StagePaths) -> Path:
    return paths.step("train") / "scored"


def failed_rewards(stage: RlStage, paths: StagePaths) -> tuple[str, ...]:
    """Return a note on the failed rewards of all processes, if any; raise an error if the stage does not allow so many."""
    folder = failures_folder(paths)
    counts = read_counts(folder)
    if not counts.failed:
        return ()
    note = f"{counts.failed:,} of {counts.rows:,} rewards failed and scored 0: {folder / FILE}"
    # The workers wait for 32 rows before they abort; a short training, such as a smoke, may score fewer.
    if counts.failed > stage.max_failed_rewards * counts.rows:
        raise StepError(f"{note}; max_failed_rewards is {stage.max_failed_rewards:g}")
    return (note,)
