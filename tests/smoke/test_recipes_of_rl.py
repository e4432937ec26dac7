"""The smokes of the recipes of reinforcement learning alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.smoke.recipe_smokes import Expected, check

pytestmark = pytest.mark.smoke

RECIPES = {
    "apps_ppo.yaml": Expected(
        "apps-ppo-3b-smoke", rl=("rl",), metrics=("critic/vf_loss",), told=("the best: validation score",)
    ),
    "python_interpreter.yaml": Expected(
        "python-interpreter-1.5b-smoke", rl=("rl",), metrics=("actor/kl_loss", "tool/calls/mean")
    ),
    "bootcamp.yaml": Expected(
        "bootcamp-7b-smoke",
        rl=("rl",),
        metrics=("actor/kl_loss",),
        told=("reward\tbootcamp and verl\tbootcamp and verl and tie_break",),
    ),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_runs_tiny(recipe: str, tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    for trainer in ("llamafactory", "verl"):
        trainer_python(trainer)
    check(recipe, RECIPES[recipe], tmp_path)
