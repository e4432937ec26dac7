"""The algorithms: their settings are valid in the pinned verl, and stages must meet their requirements."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from pipelines.environments import TrainerName
from pipelines.recipe import upstream_keys
from pipelines.recipe.algorithms import ALGORITHMS, AlgorithmName
from pipelines.recipe.loading import load
from pipelines.recipe.nested import unflatten
from tests import ROOT

from .conftest import RECIPE, Write, problems

CODE = ROOT / "third_party/verl/checkout/verl/trainer/ppo/core_algos.py"
LOSS_MODE = "actor_rollout_ref.actor.policy_loss.loss_mode"


def test_schema_lists_all_algorithms() -> None:
    assert get_args(AlgorithmName) == tuple(ALGORITHMS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_settings_are_valid_upstream_keys(name: AlgorithmName) -> None:
    assert list(upstream_keys.check_keys("verl", unflatten(ALGORITHMS[name].settings))) == []


@pytest.fixture(scope="module")
def upstream(trainer_python: Callable[[TrainerName], Path]) -> str:
    """Return the source of the pinned verl's algorithms."""
    trainer_python("verl")  # checks it out
    if not CODE.exists():
        pytest.skip("the pinned verl is not checked out: another environment is used")
    return CODE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_verl_has_the_estimator_and_the_loss(name: AlgorithmName, upstream: str) -> None:
    estimators = re.findall(r'^    [A-Z_]+ = "(\w+)"$', upstream, re.MULTILINE)
    losses = re.findall(r'^@register_policy_loss\("(\w+)"\)', upstream, re.MULTILINE)
    assert ALGORITHMS[name].estimator in estimators
    assert ALGORITHMS[name].settings.get(LOSS_MODE, "vanilla") in losses


def recipe_for(name: str) -> str:
    """Return the small recipe with another algorithm, meeting its requirements."""
    method = ALGORITHMS[name]  # type: ignore[index]
    critic = "\n    critic: {}" if method.critic else ""
    rewards = ", ".join(["{name: white_box}", "{name: code_tests}"][: method.rewards])
    recipe = RECIPE.replace("reward: white_box", f"reward: [{rewards}]") if method.rewards > 1 else RECIPE
    return recipe.replace("algorithm: grpo", f"algorithm: {name}{critic}").replace(
        "batch: {prompts: 8, mini: 4}", f"batch: {{prompts: 8, mini: 8, micro_per_gpu: {method.micro}}}"
    )


@pytest.mark.parametrize("name", ALGORITHMS)
def test_recipe_names_the_algorithm(name: str, write: Write) -> None:
    stage: Any = load(write("x.yaml", recipe_for(name))).recipe.stages[1]
    assert stage.method is ALGORITHMS[name]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        (
            "rloo",
            "samples: 8",
            "samples: 1",
            "rloo compares the samples of a prompt: rollout.samples is 1, expected at least 2",
        ),
        ("dapo", "steps: 4", "steps: 4\n    critic: {}", "dapo has no critic: remove `critic`, which is for ppo"),
        (
            "ppo",
            "    critic: {}\n",
            "",
            "ppo trains a critic, and `critic` is missing: set `critic: {}` to use its defaults",
        ),
        (
            "clip_cov",
            "micro_per_gpu: 2",
            "micro_per_gpu: 1",
            "clip_cov compares the responses of a forward pass: batch.micro_per_gpu is 1, expected at least 2",
        ),
        (
            "gdpo",
            "reward: [{name: white_box}, {name: code_tests}]",
            "reward: white_box",
            "gdpo normalizes the rewards separately: `reward` lists 1, expected at least 2",
        ),
        ("opo", "mini: 8", "mini: 4", "opo updates once per step: batch.mini is 4, expected batch.prompts, 8"),
        (
            "dr_grpo",
            "steps: 4",
            "steps: 4\n    kl: {}",
            "dr_grpo has no KL penalty: remove `kl`, or use an algorithm that supports it, such as grpo",
        ),
        (
            "gpg",
            "steps: 4",
            "steps: 4\n    kl: {place: reward}",
            "kl.place is reward: gpg supports the penalty in the loss only",
        ),
    ],
)
def test_requirements_are_checked(name: str, before: str, after: str, message: str, write: Write) -> None:
    recipe = recipe_for(name)
    assert recipe.count(before) == 1
    [line] = problems(write("x.yaml", recipe.replace(before, after)))
    assert line == f"x.yaml:12: stages.rl: {message}"


@pytest.mark.parametrize("name", ["ppo", "reinforce_plus_plus"])
def test_one_sample_is_enough_without_a_group(name: str, write: Write) -> None:
    load(write("x.yaml", recipe_for(name).replace("samples: 8", "samples: 1")))
