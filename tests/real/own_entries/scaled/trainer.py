"""verl's legacy trainer with advantages that are multiplied by a factor."""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.ray_trainer import RayPPOTrainer


class ScaledTrainer(RayPPOTrainer):
    """Scales the advantages before each update, and reports the largest."""

    def _update_actor(self, batch: Any) -> Any:
        advantages = batch.batch["advantages"] * self.config.scaling.factor
        batch.batch["advantages"] = advantages
        output = super()._update_actor(batch)
        if self.config.scaling.report:
            output.meta_info["metrics"]["scaling/largest"] = [advantages.abs().max().item()]
        return output
