"""What verl is told for each algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipelines.errors import InputError
from pipelines.recipe.algorithms import ALGORITHMS
from pipelines.recipe.schema import RlStage
from pipelines.trainers.verl.nested import get_path
from pipelines.trainers.verl.rl.config import launch
from tests.pipelines.trainers.verl.stages import context, rl_stage

BATCH = {"prompts": 8, "mini": 8, "micro_per_gpu": 2}


def settings(stage: RlStage) -> Any:
    return YAML(typ="safe").load(launch(stage, context(stage)).files["train.yaml"])


def critic(name: str) -> dict[str, float] | None:
    return {} if ALGORITHMS[name].critic else None  # type: ignore[index]


def rewards(name: str) -> Any:
    several: list[dict[str, Any]] = [{"name": "white_box"}, {"name": "white_box", "weight": 0.5}]
    return several if ALGORITHMS[name].rewards > 1 else "white_box"  # type: ignore[index]


def leaves(group: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in group.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def test_what_each_algorithm_changes_of_grpo(golden: Callable[[str, str], None]) -> None:
    plain = dict(leaves(settings(rl_stage(batch=BATCH))))
    lines: list[str] = []
    for name in ALGORITHMS:
        rendered = dict(leaves(settings(rl_stage(algorithm=name, batch=BATCH, critic=critic(name), reward=rewards(name)))))
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
def test_a_recipes_own_keys_win(name: str, key: str, value: object) -> None:
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
def test_the_penalty_sits_where_the_algorithm_has_it(
    name: str, kl: dict[str, str], in_loss: str | None, in_reward: str | None
) -> None:
    rendered = settings(rl_stage(algorithm=name, kl=kl, critic=critic(name)))
    actor = rendered["actor_rollout_ref"]["actor"]
    assert (actor.get("use_kl_loss", False), actor.get("kl_loss_type")) == (in_loss is not None, in_loss)
    reward = rendered["algorithm"]
    assert (reward.get("use_kl_in_reward", False), reward.get("kl_penalty")) == (in_reward is not None, in_reward)


def sampler(stage: RlStage) -> Any:
    return settings(stage)["trainer"]["v1"].get("sampler", {})


def test_dapos_filter_is_told_to_our_replay_buffer() -> None:
    # verl hands it to no buffer but its own.
    found = sampler(rl_stage(algorithm="dapo"))
    assert found["custom_sampler"]["name"] == "OrderedReplayBuffer"
    assert found["sampler_kwargs"]["filter_groups"] == {
        "train_batch_size": "${data.train_batch_size}",
        "metric": "${algorithm.filter_groups.metric}",
        "max_num_gen_batches": "${algorithm.filter_groups.max_num_gen_batches}",
        "max_inflight_gen_batches": "${algorithm.filter_groups.max_inflight_gen_batches}",
    }
    assert "filter_groups" not in sampler(rl_stage())["sampler_kwargs"]


def test_remax_gets_the_buffer_that_knows_its_baselines() -> None:
    assert sampler(rl_stage(algorithm="remax"))["custom_sampler"]["name"] == "BaselineReplayBuffer"


OTHERS = [
    ({"trainer.v1.trainer_mode": "colocate_async"}, "trainer.v1.trainer_mode: colocate_async"),
    ({"trainer.v1.sampler.sync_refill_failed_groups": True}, "trainer.v1.sampler.sync_refill_failed_groups: True"),
    ({"reward.reward_model.enable": True}, "reward.reward_model.enable: True"),
]


@pytest.mark.parametrize(("keys", "said"), OTHERS)
def test_remax_goes_with_no_other_buffer(keys: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=f"^stage one: {said} does not work with remax"):
        settings(rl_stage(algorithm="remax", verl=keys))


@pytest.mark.parametrize(("keys", "ours"), [*((keys, False) for keys, _ in OTHERS[:2]), (OTHERS[2][0], True)])
def test_other_algorithms_may_have_another_buffer(keys: dict[str, object], ours: bool) -> None:
    assert ("custom_sampler" in sampler(rl_stage(verl=keys))) == ours


def test_a_reward_model_scores_too_late_for_our_filter() -> None:
    # verl's own buffer says so.
    assert "custom_sampler" not in sampler(rl_stage(algorithm="dapo", verl={"reward.reward_model.enable": True}))
