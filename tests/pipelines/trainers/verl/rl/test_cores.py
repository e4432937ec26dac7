"""The cores that verl asks of Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.recipe.schema import Hardware
from pipelines.trainers.verl.rl import trainer
from pipelines.trainers.verl.rl.cores import STORES, asked_cores, given_cores
from tests.pipelines.trainers.verl.stages import rl_stage
from tests.pipelines.trainers.verl.training import Training


@pytest.mark.parametrize(
    ("hardware", "verl", "cores"),
    [
        ({}, {}, 8 + 1 + 3),
        ({"gpus_per_node": 8}, {}, 8 + 1 + 24),
        ({"gpus_per_node": 8, "nodes": 3}, {}, 3 + 1 + 24),
        ({}, {STORES: 2}, 2 + 1 + 3),
        ({}, {"transfer_queue.backend.storage_backend": "MooncakeStore"}, 1 + 3),
        ({}, {"reward.reward_manager.name": "remote", "reward.num_workers": 3}, 8 + 1 + 3 + 9),
        ({}, {"reward": {"reward_model": {"enable_resource_pool": True, "n_gpus_per_node": 2}}}, 8 + 1 + 9),
        # Of a pool on other nodes.
        ({"nodes": 2}, {"distillation.enabled": True}, 4 + 1 + 3),
    ],
)
def test_each_setting_counts(hardware: dict[str, Any], verl: dict[str, Any], cores: int) -> None:
    assert sum(asked_cores(rl_stage(verl=verl), Hardware(**hardware)).values()) == cores


def test_the_recipe_may_give_ray_more_cores() -> None:
    assert given_cores(rl_stage()) is None
    assert given_cores(rl_stage(verl={"ray_kwargs.ray_init.num_cpus": 12})) == 12


@pytest.mark.nightly
def test_verl_trains_with_as_many_cores_as_it_asks_for(make: Callable[..., Training]) -> None:
    """With one core less, the workers' bundle never fits; the CPU platform would lower the number of stores."""
    stage = rl_stage(steps=1, verl={STORES: 8})
    needed = sum(asked_cores(stage, Hardware()).values())
    keys = {**stage.verl, "ray_kwargs.ray_init.num_cpus": needed}
    stage = stage.model_copy(update={"verl": keys})
    training = make(stage)
    training.run("train", trainer.launch(stage, training.context))
