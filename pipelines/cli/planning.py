"""What `plan` and `run` have in common: a recipe with its plan on this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.environments import Environment
from pipelines.evaluation.steps import Planned, add_evaluations
from pipelines.recipe.loading import Loaded, load
from pipelines.run.machine import choose_platform, find_environments, find_machine
from pipelines.run.plan import Step, make_plan
from pipelines.shipped import CODE, other_checkout
from pipelines.smoke.shrinking import shrink
from pipelines.smoke.summary import print_changes


def plan_recipe(
    path: Path, sets: Sequence[str], runs: Path, *, smoke: bool, quiet: bool = False
) -> tuple[Loaded, Planned, dict[str, Environment]]:
    """Load a recipe and plan it with its evaluations.

    Args:
        path: The recipe.
        sets: `key=value` options.
        runs: The parent of the run directories.
        smoke: Plan the tiny version of the recipe, whose changes are printed.
        quiet: Do not print them.

    Raises:
        InputError: The recipe has mistakes.
    """
    loaded = load(path, sets)
    if not quiet and (clone := other_checkout(loaded.path)):
        print(f"note: {loaded.path} is a recipe of {clone}; it is run by the code of {CODE}", file=sys.stderr)
    if smoke:
        loaded = shrink(loaded)[0] if quiet else print_changes(loaded)
    environments = find_environments(loaded.recipe, choose_platform(loaded.recipe))
    with loaded.locating():
        plan = make_plan(loaded.recipe, find_machine(environments), runs.absolute() / loaded.recipe.name)
    return loaded, add_evaluations(loaded, plan), environments


def used_environments(environments: Mapping[str, Environment], steps: Sequence[Step]) -> dict[str, Environment]:
    """Return the environments that some steps use."""
    used = {name for step in steps for name in step.uses}
    return {name: each for name, each in environments.items() if name in used}


def prepared_stages(steps: Sequence[Step]) -> set[str]:
    """Return the stages whose rows some steps prepare."""
    return {step.stage for step in steps if step.prepares and step.stage is not None}
