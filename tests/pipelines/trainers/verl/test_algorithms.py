"""What verl is told for each algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipelines.recipe.algorithms import ALGORITHMS
from pipelines.recipe.schema import RlStage
from pipelines.trainers.verl.rl import launch
from pipelines.trainers.verl.settings import look_up
from tests.pipelines.trainers.verl.stages import context, rl_stage

BATCH = {"prompts": 8, "mini": 8, "micro_per_gpu": 2}


def settings(stage: RlStage) -> Any:
    return YAML(typ="safe").load(launch(stage, context(stage)).files["train.yaml"])


def critic(name: str) -> dict[str, float] | None:
    return {} if ALGORITHMS[name].critic else None  # type: ignore[index]


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
        rendered = dict(leaves(settings(rl_stage(algorithm=name, batch=BATCH, critic=critic(name)))))
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
    assert look_up(settings(rl_stage(algorithm=name)), key) != value
    assert look_up(settings(rl_stage(algorithm=name, verl={key: value})), key) == value


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


def test_dapos_filter_gets_verls_own_replay_buffer() -> None:
    # verl hands its group filter to no other.
    assert "custom_sampler" not in settings(rl_stage(algorithm="dapo"))["trainer"]["v1"]["sampler"]
