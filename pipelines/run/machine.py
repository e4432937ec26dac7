"""What a plan needs to know of this machine: its platform, and the trainers' Pythons and checkouts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.environments import TRAINERS, Environment, detected_platform, environment
from pipelines.recipe.schema import Recipe
from pipelines.run.plan import Machine
from pipelines.trainers.base import Platform


def find_platform(recipe: Recipe) -> Platform:
    """Return the recipe's platform; default: what this machine has."""
    if recipe.hardware.platform != "auto":
        return recipe.hardware.platform
    return detected_platform()


def find_environments(recipe: Recipe) -> dict[str, Environment]:
    """Return the environment of each trainer in the recipe, built or not."""
    platform = find_platform(recipe)
    given = {"llamafactory": recipe.environments.llamafactory, "verl": recipe.environments.verl}
    trainers = {stage.trainer for stage in recipe.stages}
    return {name: environment(name, platform, given[name]) for name in TRAINERS if name in trainers}


def find_machine(recipe: Recipe, environments: Mapping[str, Environment]) -> Machine:
    """Return the machine of a plan. The environments need not be built."""
    return Machine(
        platform=find_platform(recipe),
        orchestrator=Path(sys.executable),
        pythons={name: each.python for name, each in environments.items()},
        sources={name: each.pin.checkout for name, each in environments.items()},
        variables={name: each.variables for name, each in environments.items()},
    )
