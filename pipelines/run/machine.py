"""What a plan needs to know of this machine: its platform, and the trainers' Pythons and checkouts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.environments import TRAINERS, Environment, detected_platform, environment
from pipelines.recipe.schema import Recipe, TinyModel
from pipelines.run.plan import Machine
from pipelines.trainers.base import Platform


def choose_platform(recipe: Recipe) -> Platform:
    """Return the platform that a recipe is planned for.

    `auto` is the CPU where no GPU is found, but not for a recipe that asks for several of them and for a model that is not
    tiny: training it in as many processes on the CPU is not what it means.
    """
    if recipe.hardware.platform != "auto":
        return recipe.hardware.platform
    workers = max(hardware.nodes * hardware.gpus_per_node for hardware in map(recipe.hardware_of, recipe.stages))
    return "cuda" if workers > 1 and not isinstance(recipe.model, TinyModel) else detected_platform()


def find_environments(recipe: Recipe, platform: Platform | None = None) -> dict[str, Environment]:
    """Return the environment of each trainer in the recipe, built or not.

    Args:
        recipe: The recipe.
        platform: Default: the recipe's; for `auto`, that of this machine.
    """
    if platform is None:
        platform = detected_platform() if recipe.hardware.platform == "auto" else recipe.hardware.platform
    given = recipe.environments.model_dump()
    trainers = {stage.trainer for stage in recipe.stages}
    # Evaluations generate with its vLLM; several nodes are reached by its Ray.
    if recipe.evaluate is not None or recipe.uses_cluster:
        trainers.add("verl")
    return {name: environment(name, platform, given[name]) for name in TRAINERS if name in trainers}


def find_machine(environments: Mapping[str, Environment]) -> Machine:
    """Return the machine of a plan. The environments need not be built."""
    return Machine(
        platform=next(iter(environments.values())).platform,
        orchestrator=Path(sys.executable),
        pythons={name: each.python for name, each in environments.items()},
        sources={name: each.pin.checkout for name, each in environments.items()},
        variables={name: each.variables for name, each in environments.items()},
    )
