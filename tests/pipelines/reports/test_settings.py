"""The keys of recipes with their defaults."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.reports.page import Setting
from pipelines.reports.settings import list_settings
from tests.pipelines.reports.making import recipe


def find(settings: list[Setting], key: str) -> Setting:
    return next(each for each in settings if each.key == key)


def test_differences_from_the_defaults() -> None:
    settings = list_settings([recipe(seed=3)])
    assert find(settings, "seed") == Setting(key="seed", values=["3"], default="17", changed=True)
    assert not find(settings, "hardware.nodes").changed, "a key that the recipe leaves out"
    entropy = find(settings, "stages.stage-one.verl.actor_rollout_ref.actor.entropy_coeff")
    assert (entropy.values, entropy.default, entropy.changed) == (["0.01"], "0", True)
    temperature = find(settings, "stages.stage-one.rollout.temperature")
    assert (temperature.values, temperature.default, temperature.changed) == (["1.0"], "1.0", False)
    assert find(settings, "stages.stage-one.learning_rate").default is None
    assert len({each.key for each in settings}) == len(settings)


def test_differences_of_runs() -> None:
    first, second = recipe(), recipe(seed=3)
    second["stages"] = [*second["stages"][:1], {**second["stages"][1], "learning_rate": 2e-6, "name": "other"}]
    settings = list_settings([first, second])
    assert find(settings, "seed").differs
    assert find(settings, "stages.other.learning_rate").values == [None, "2e-06"]
    assert not find(settings, "stages.sft.learning_rate").differs


def test_secrets_are_hidden_and_long_values_are_cut() -> None:
    settings = list_settings([recipe(trackers=[], stages=[{"name": "x", "api_key": "s3cret", "prompt": "y" * 9000}])])
    assert find(settings, "stages.x.api_key").values == ["(hidden)"]
    assert len(find(settings, "stages.x.prompt").values[0] or "") <= 400


@pytest.mark.parametrize(
    "damaged",
    [{}, {"stages": None}, {"stages": 3}, {"stages": [3, {"kind": "rl", "rollout": 3, "verl": [1]}], "evaluate": [1]}],
)
def test_damaged_recipes(damaged: dict[str, Any]) -> None:
    assert find(list_settings([damaged]), "seed").values == ["17"]
