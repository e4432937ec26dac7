"""Start the trainer with scaled advantages: `python -m recipe.scaled.main_scaled`."""

from __future__ import annotations

from typing import Any

import hydra
import ray
from verl.trainer.main_ppo import run_ppo
from verl.trainer.main_ppo_v0 import BaseTaskRunner


@hydra.main(config_path="config", config_name="scaled_trainer", version_base=None)
def main(config: Any) -> None:
    """Train."""
    run_ppo(config, task_runner_class=ray.remote(ScaledTaskRunner))


class ScaledTaskRunner(BaseTaskRunner):
    """The process that trains."""

    def run(self, config: Any) -> None:
        """Do what verl's legacy task runner does, with another trainer (trainer/main_ppo_v0.py)."""
        from omegaconf import OmegaConf
        from verl.trainer.ppo.utils import create_rl_dataset, create_rl_sampler
        from verl.utils.config import omega_conf_to_dataclass
        from verl.utils.dataset.rl_dataset import collate_fn

        from .trainer import ScaledTrainer

        OmegaConf.resolve(config)
        _, worker_group = self.add_actor_rollout_worker(config)
        model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
        rows = {
            name: create_rl_dataset(config.data[f"{name}_files"], config.data, model.tokenizer, model.processor)
            for name in ("train", "val")
        }
        trainer = ScaledTrainer(
            config=config,
            tokenizer=model.tokenizer,
            processor=model.processor,
            role_worker_mapping=self.role_worker_mapping,
            resource_pool_manager=self.init_resource_pool_mgr(config),
            ray_worker_group_cls=worker_group,
            train_dataset=rows["train"],
            val_dataset=rows["val"],
            collate_fn=collate_fn,
            train_sampler=create_rl_sampler(config.data, rows["train"]),
        )
        trainer.init_workers()
        trainer.fit()


if __name__ == "__main__":
    main()
