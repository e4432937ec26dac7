"""Set all advantages to zero."""

from __future__ import annotations

from typing import Any

from pipelines.trainers.verl.plugin.overrides import after_import


def _zero_advantages() -> None:
    from verl.trainer.ppo.v1 import trainer_base as upstream

    compute = upstream.compute_advantage_for_multi_trajectories

    def compute_advantage(*args: Any, **kwargs: Any) -> Any:
        data = compute(*args, **kwargs)
        data.batch["advantages"] = 0 * data.batch["advantages"]
        return data

    upstream.compute_advantage_for_multi_trajectories = compute_advantage


after_import("verl.trainer.ppo.v1.trainer_base", _zero_advantages)
