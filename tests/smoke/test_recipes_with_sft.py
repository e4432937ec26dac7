"""The smokes of the recipes that begin with supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.smoke.recipe_smokes import Expected, check

pytestmark = pytest.mark.smoke

RECIPES = {
    "execverify.yaml": Expected(
        "execverify-7b-smoke",
        sft=("sft",),
        rl=("stage-one", "stage-two"),
        metrics=("actor/entropy",),
        told=("stage-one.rollout.samples\t8\t2", "is not in the hub's cache, and the hub does not answer"),
    ),
    "custom_sft.yaml": Expected("custom-sft-7b-smoke", sft=("sft",), rl=("rl",), metrics=("actor/kl_loss",)),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_runs_tiny(recipe: str, tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    for trainer in ("llamafactory", "verl"):
        trainer_python(trainer)
    check(recipe, RECIPES[recipe], tmp_path)
