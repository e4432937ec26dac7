"""What a plan needs to know of this machine: its platform, and the trainers' Pythons and checkouts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.environments import TRAINERS, Environment, detected_platform, environment
from pipelines.recipe.schema import Recipe
from pipelines.run.plan import Machine


def find_environments(recipe: Recipe) -> dict[str, Environment]:
    """Return the environment of each trainer in the recipe, built or not."""
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
