"""The CPU cores that a stage asks of Ray on GPUs, read in verl 0.9.1 and TransferQueue 0.1.10.

Ray starts an actor when the cores that it asks for are free. verl waits without a time limit and without a message, so on a
machine with fewer cores training never starts. On the CPU platform Ray is given as many as needed (`verl/cpu.py`).
"""

from __future__ import annotations

import math

from pipelines.recipe.nested import count_workers, get_path, unflatten
from pipelines.recipe.schema import Hardware, RlStage

STORES = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
"""verl's key for the number of TransferQueue's stores."""

GIVEN = "ray_kwargs.ray_init.num_cpus"
"""verl's key for the cores that its own Ray has; default: those of the machine."""

_PER_GPU = 3
"""`ResourcePoolManager.max_colocate_count`, the cores of each worker's bundle (single_controller/ray/base.py)."""

_POOLS = (
    ("reward.reward_model.enable_resource_pool", "reward.reward_model.n_gpus_per_node"),
    ("distillation.enabled", "distillation.n_gpus_per_node"),
)
"""Pools of GPUs besides the trainer's: whether there is one, its GPUs per node (trainer/ppo/v1/trainer_base.py)."""


def asked_cores(stage: RlStage, hardware: Hardware) -> dict[str, int]:
    """Return the cores of one node that the stage holds as long as it trains, by what holds them."""
    keys = unflatten(stage.verl)
    # Round-robin over the nodes, one core each (transfer_queue/storage/bootstrap/simple_storage_bootstrap.py).
    simple = get_path(keys, "transfer_queue.backend.storage_backend", "SimpleStorage") == "SimpleStorage"
    gpus = hardware.gpus_per_node
    if hardware.nodes == 1:  # on several, Ray puts other pools where GPUs are free
        gpus += sum(get_path(keys, count, 8) for enabled, count in _POOLS if get_path(keys, enabled, False))
    # Each of the reward's actors starts as many with a core each (experimental/reward_loop/reward_manager/remote.py).
    blocking = get_path(keys, "reward.reward_manager.name") == "remote"
    held = {
        "TransferQueue's stores": math.ceil(count_workers(keys, STORES) / hardware.nodes) if simple else 0,
        "TransferQueue's controller": 1,
        f"{_PER_GPU} for each of {gpus} GPUs" if gpus > 1 else "the GPU": _PER_GPU * gpus,
        "rewards": math.ceil(count_workers(keys, "reward.num_workers") ** 2 / hardware.nodes) if blocking else 0,
    }
    # Ray starts all other actors, which ask for none, even if no core is free.
    return {name: count for name, count in held.items() if count}


def given_cores(stage: RlStage) -> int | None:
    """Return the cores that the recipe gives to Ray; None for those of the machine."""
    given = get_path(unflatten(stage.verl), GIVEN)
    return given if isinstance(given, int) else None
