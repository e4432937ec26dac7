"""What verl is told about a stage's rewards, and what became of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pipelines.errors import StepError
from pipelines.recipe.schema import Reward, RlStage
from pipelines.trainers.base import Context, StagePaths
from pipelines.trainers.verl.nested import Settings, look_up
from rewards.scoring.failures import FILE, put_aside, read_counts, read_stop

ARGUMENTS = "reward.custom_reward_function.reward_kwargs"
"""What verl calls the arguments of our function."""

NOT_ESSENTIAL = ("max_failed", "seconds", "workers", "sandbox")
"""Those that say how rewards are computed and when to give up, not what a response is worth."""

# verl's default of reward.num_workers, where neither platform nor recipe says.
_WORKERS = 8

# The reward managers that call from a process's main thread and refuse what is to be awaited
# (experimental/reward_loop/reward_manager/remote.py).
_BLOCKING = ("remote",)


def reward_function(stage: RlStage, context: Context, settings: Settings) -> Settings:
    """verl's `reward.custom_reward_function`: ours, with the recipe's rewards. `settings` are all others."""
    manager = look_up(settings, "reward.reward_manager.name", "naive")
    said = look_up(settings, "reward.num_workers")
    workers = said if isinstance(said, int) else _WORKERS
    # Each of verl's reward workers has as many processes of its own there.
    processes = workers**2 if manager in _BLOCKING else workers
    arguments: Settings = {
        "rewards": [_written(reward) for reward in stage.rewards],
        "max_failed": stage.max_failed_rewards,
        "seconds": stage.max_reward_seconds,
        "failures": str(failures_folder(context.paths) / FILE),
        # verl spreads them over the machines in turn.
        "workers": math.ceil(processes / context.recipe.hardware.nodes),
        "sandbox": context.recipe.sandbox.model_dump(exclude_defaults=True),
    }
    name = "compute_score_blocking" if manager in _BLOCKING else "compute_score"
    return {"reward": {"custom_reward_function": {"path": "pkg://rewards.entry", "name": name, "reward_kwargs": arguments}}}


def failures_folder(paths: StagePaths) -> Path:
    """Where the rewards that failed are written down, and how many rows were scored."""
    return paths.step("train") / "rewards"


def begin_attempt(paths: StagePaths) -> None:
    """What an earlier attempt counted does not count in this one; its failures are kept in a folder beside."""
    put_aside(failures_folder(paths))


def check_rewards(paths: StagePaths) -> None:
    """Raises:
    StepError: so many rewards failed that training is not to go on.
    """
    if reason := read_stop(failures_folder(paths)):
        raise StepError(reason)


def failed_rewards(stage: RlStage, paths: StagePaths) -> tuple[str, ...]:
    """A line about the rewards that failed; none where none did.

    Raises:
        StepError: more failed than the stage allows. A process that scored few rows could not tell.
    """
    folder = failures_folder(paths)
    counts = read_counts(folder)
    if not counts.failed:
        return ()
    said = f"{counts.failed:,} of {counts.rows:,} rewards failed and scored 0: {folder / FILE}"
    # At the end there are no more to wait for: a short training, such as a smoke, may score less than 32.
    if counts.failed > stage.max_failed_rewards * counts.rows:
        raise StepError(f"{said}; max_failed_rewards is {stage.max_failed_rewards:g}")
    return (said,)


def _written(reward: Reward) -> dict[str, Any]:
    return {"name": reward.name, **reward.model_dump(exclude={"name"}, exclude_defaults=True)}
