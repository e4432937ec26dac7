"""Generate all responses with the initial weights: the rollout model is never updated."""

from __future__ import annotations

from pipelines.trainers.verl.plugin.overrides import after_import


def _keep_rollout_weights() -> None:
    from verl.trainer.ppo.v1 import trainer_sync as upstream

    upstream.PPOTrainerSync.on_step_end = lambda self: None


after_import("verl.trainer.ppo.v1.trainer_sync", _keep_rollout_weights)
