"""verl's settings for each algorithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipelines.errors import InputError
from pipelines.recipe.algorithms import ALGORITHMS
from pipelines.recipe.nested import get_path, leaves
from pipelines.recipe.schema import RlStage
from pipelines.trainers.verl.rl.config import launch
from tests.pipelines.trainers.verl.stages import context, rl_stage

BATCH = {"prompts": 8, "mini": 8, "micro_per_gpu": 2}


def settings(stage: RlStage) -> Any:
    return YAML(typ="safe").load(launch(stage, context(stage)).files["train.yaml"])


def critic_of(name: str) -> dict[str, float] | None:
    return {} if ALGORITHMS[name].critic else None  # type: ignore[index]


def rewards_of(name: str) -> Any:
    several: list[dict[str, Any]] = [{"name": "white_box"}, {"name": "white_box", "weight": 0.5}]
    return several if ALGORITHMS[name].rewards > 1 else "white_box"  # type: ignore[index]


def flatten(stage: RlStage) -> dict[str, Any]:
    return {".".join(path): value for path, value in leaves(settings(stage))}


def test_difference_of_each_algorithm_to_grpo(golden: Callable[[str, str], None]) -> None:
    plain = flatten(rl_stage(batch=BATCH))
    lines: list[str] = []
    for name in ALGORITHMS:
        rendered = flatten(rl_stage(algorithm=name, batch=BATCH, critic=critic_of(name), reward=rewards_of(name)))
        lines.append(name)
        lines += [f"  + {key}: {value}" for key, value in rendered.items() if plain.get(key, ...) != value]
        lines += [f"  - {key}: {value}" for key, value in plain.items() if key not in rendered]
    golden("verl/algorithms.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("dapo", "actor_rollout_ref.actor.clip_ratio_high", 0.3),
        ("dapo", "algorithm.filter_groups.enable", False),
        ("dr_grpo", "actor_rollout_ref.actor.loss_scale_factor", 1024),
        ("gspo", "actor_rollout_ref.actor.policy_loss.loss_mode", "sapo"),
    ],
)
def test_keys_of_the_recipe_take_precedence(name: str, key: str, value: object) -> None:
    assert get_path(settings(rl_stage(algorithm=name)), key) != value
    assert get_path(settings(rl_stage(algorithm=name, verl={key: value})), key) == value


@pytest.mark.parametrize(
    ("name", "kl", "in_loss", "in_reward"),
    [
        ("grpo", {}, "low_var_kl", None),
        ("grpo", {"place": "reward"}, None, "kl"),
        ("ppo", {}, None, "kl"),
        ("rloo", {"estimator": "mse"}, None, "mse"),
        ("reinforce_plus_plus_baseline", {"place": "loss", "estimator": "mse"}, "mse", None),
    ],
)
def test_place_of_kl_penalty(name: str, kl: dict[str, str], in_loss: str | None, in_reward: str | None) -> None:
    rendered = settings(rl_stage(algorithm=name, kl=kl, critic=critic_of(name)))
    actor = rendered["actor_rollout_ref"]["actor"]
    assert (actor.get("use_kl_loss", False), actor.get("kl_loss_type")) == (in_loss is not None, in_loss)
    reward = rendered["algorithm"]
    assert (reward.get("use_kl_in_reward", False), reward.get("kl_penalty")) == (in_reward is not None, in_reward)


def sampler(stage: RlStage) -> Any:
    return settings(stage)["trainer"]["v1"].get("sampler", {})


def test_filter_of_dapo_is_passed_to_the_replay_buffer() -> None:
    # verl passes it to its own buffer only.
    found = sampler(rl_stage(algorithm="dapo"))
    assert found["custom_sampler"]["name"] == "OrderedReplayBuffer"
    assert found["sampler_kwargs"]["filter_groups"] == {
        "train_batch_size": "${data.train_batch_size}",
        "metric": "${algorithm.filter_groups.metric}",
        "max_num_gen_batches": "${algorithm.filter_groups.max_num_gen_batches}",
        "max_inflight_gen_batches": "${algorithm.filter_groups.max_inflight_gen_batches}",
    }
    assert "filter_groups" not in sampler(rl_stage())["sampler_kwargs"]


def test_remax_uses_the_buffer_with_baselines() -> None:
    assert sampler(rl_stage(algorithm="remax"))["custom_sampler"]["name"] == "BaselineReplayBuffer"


OTHERS = [
    ({"trainer.v1.trainer_mode": "colocate_async"}, "trainer.v1.trainer_mode: colocate_async"),
    ({"trainer.v1.sampler.sync_refill_failed_groups": True}, "trainer.v1.sampler.sync_refill_failed_groups: True"),
    ({"reward.reward_model.enable": True}, "reward.reward_model.enable: True"),
]


@pytest.mark.parametrize(("keys", "setting"), OTHERS)
def test_remax_rejects_another_buffer(keys: dict[str, object], setting: str) -> None:
    with pytest.raises(InputError, match=f"^stage one: {setting} does not work with remax"):
        settings(rl_stage(algorithm="remax", verl=keys))


@pytest.mark.parametrize(("keys", "ours"), [*((keys, False) for keys, _ in OTHERS[:2]), (OTHERS[2][0], True)])
def test_other_algorithms_accept_another_buffer(keys: dict[str, object], ours: bool) -> None:
    assert ("custom_sampler" in sampler(rl_stage(verl=keys))) == ours


def test_dapo_with_reward_model_uses_buffer_of_verl() -> None:
    # The scores of a reward model come too late for our filter; verl's buffer rejects the combination.
    assert "custom_sampler" not in sampler(rl_stage(algorithm="dapo", verl={"reward.reward_model.enable": True}))
