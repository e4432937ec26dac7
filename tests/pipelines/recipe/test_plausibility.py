"""Numbers that cannot work are refused, unusual ones are reported with the usual range."""

from __future__ import annotations

import pytest

from pipelines.recipe.loading import load
from pipelines.shipped import RECIPES

from .conftest import Write, problems

_ACTOR = "stages.rl.verl.actor_rollout_ref.actor"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("stages.rl.learning_rate=1e6", "found 1e+06, expected at most 1; did you mean 1e-06?"),
        ("stages.sft.learning_rate=2e5", "found 200000, expected at most 1; did you mean 2e-05?"),
        ("stages.sft.learning_rate=3", "found 3, expected at most 1; usual is 1e-07 to 0.001"),
        ("stages.rl.rollout.temperature=100", "expected at most 2: vLLM refuses higher temperatures"),
        ("stages.rl.verl.algorithm.gamma=1.5", "found 1.5, expected 0 to 1"),
        ("stages.rl.verl.algorithm.lam=-1", "found -1, expected 0 to 1"),
        (f"{_ACTOR}.clip_ratio_high=-0.2", "expected at least 0"),
        (f"{_ACTOR}.ppo_epochs=0", "expected at least 1"),
        ("stages.sft.llamafactory.label_smoothing_factor=3", "expected at least 0 and at most 1"),
        ("seed=4294967296", "found 4294967296, expected at most 4294967295: numpy's largest seed"),
        ("evaluate={on: [humaneval], temperature: 30}", "expected at most 2"),
    ],
)
def test_impossible_numbers(write: Write, given: str, expected: str) -> None:
    (line,) = problems(write("x.yaml", "extends: small.yaml"), given)
    assert line.startswith(f"--set {given.partition('=')[0]}")
    assert expected in line


def test_a_critic_that_warms_up_for_the_whole_stage(write: Write) -> None:
    ppo = ["stages.rl.algorithm=ppo", "stages.rl.critic.warmup_steps=4"]
    (line,) = problems(write("x.yaml", "extends: small.yaml"), *ppo)
    assert "found 4, and the stage has 4 steps: only the critic would be trained" in line
    load(write("x.yaml", "extends: small.yaml"), [ppo[0], "stages.rl.critic.warmup_steps=3"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("stages.rl.learning_rate=0.01", "stages.rl.learning_rate: found 0.01; usual is 1e-08 to 0.0001"),
        ("stages.sft.learning_rate=0.5", "found 0.5; usual is 1e-07 to 0.001"),
        ("stages.rl.rollout.temperature=1.9", "found 1.9; usual is 0.3 to 1.5"),
        ("stages.rl.rollout.top_p=0.1", "found 0.1; usual is at least 0.5"),
        ("stages.rl.data.validation.fraction=0.99", "found 0.99; usual is 1e-05 to 0.5: the rest is trained on"),
        ("stages.rl.save_every=100", "found 100, and the stage has 4 steps: an interrupted run starts it again"),
        ("stages.rl.validate_every=100", "found 100, and the stage has 4 steps"),
        (f"{_ACTOR}.optim.lr_warmup_steps=10", "the stage has 4 steps: the learning rate does not reach its peak"),
        (f"{_ACTOR}.clip_ratio_high=28", "found 28; usual is at most 0.5"),
        (f"{_ACTOR}.entropy_coeff=100", "found 100; usual is -0.1 to 0.1"),
        (f"{_ACTOR}.optim.weight_decay=10", "found 10; usual is at most 1"),
        ("stages.sft.llamafactory.max_grad_norm=-3", "gradients are not clipped at 0 or below"),
        ("stages.sft.llamafactory.max_samples=1", "it limits the rows of the stage"),
        ("hardware.gpus_per_node=32", "found 32; usual is at most 16"),
        ("sandbox.workers=100000", "found 100000; usual is at most 1024"),
        ("stages.sft.epochs=1000", "found 1000; usual is 0.01 to 100"),
        (
            "stages.rl.verl.actor_rollout_ref.model.override_config.attn_implementation=flash_attention_3",
            "not in the pinned environment",
        ),
    ],
)
def test_unusual_numbers(write: Write, given: str, expected: str) -> None:
    path = write("x.yaml", "extends: small.yaml")
    (line,) = load(path, [given]).unusual()
    assert line.startswith(f"--set {given.partition('=')[0]}")
    assert expected in line


def test_usual_numbers_are_not_reported(write: Write) -> None:
    assert load(write("x.yaml", "extends: small.yaml")).unusual() == []


def test_algorithms_with_another_clipping(write: Write) -> None:
    sets = ["stages.rl.algorithm=cispo", f"{_ACTOR}.clip_ratio_high=5"]
    assert load(write("x.yaml", "extends: small.yaml"), sets).unusual() == []


def test_tiny_models_learn_at_high_rates(write: Write) -> None:
    sets = ["model={make: qwen2}", "stages.sft.learning_rate=0.005"]
    assert load(write("x.yaml", "extends: small.yaml"), sets).unusual() == []


@pytest.mark.parametrize("name", sorted(file.name for file in RECIPES.glob("*.yaml")))
def test_shipped_recipes_are_usual(name: str) -> None:
    assert load(RECIPES / name).unusual() == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("q_porj", "the model has no module 'q_porj'; did you mean 'q_proj'?"),
        ("q_proj, v_porj", "the model has no module 'v_porj'; did you mean 'v_proj'?"),
        ("all-linear", "expected all, down_proj"),
        ("experts", "expected all, down_proj, embed_tokens"),
    ],
)
def test_adapters_of_modules_that_the_model_lacks(write: Write, target: str, expected: str) -> None:
    sets = ["model={make: qwen2}", f"stages.sft.lora={{target: '{target}'}}"]
    (line,) = problems(write("x.yaml", "extends: small.yaml"), *sets)
    assert expected in line


def test_adapters_of_modules_that_the_model_has(write: Write) -> None:
    path = write("x.yaml", "extends: small.yaml")
    for target in ("all", "q_proj", "self_attn.q_proj, mlp.up_proj", "lm_head"):
        load(path, ["model={make: qwen2}", f"stages.sft.lora={{target: '{target}'}}"])


def test_adapters_in_rl_of_modules_that_the_model_lacks(write: Write) -> None:
    path = write("x.yaml", "extends: small.yaml")
    (line,) = problems(path, "model={make: qwen2}", "stages.rl.lora={target: 'q_proj, k_porj'}")
    assert "the model has no module 'k_porj'; did you mean 'k_proj'?" in line
    load(path, ["model={make: qwen2}", "stages.rl.lora={target: q_proj}"])
    load(path, ["model={make: qwen2}", "stages.rl.lora={}"])
