"""Two real steps of verl on a CPU with every algorithm: `pytest -m algorithms`, minutes each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.recipe.algorithms import ALGORITHMS
from pipelines.recipe.schema import RlStage
from pipelines.run.failure import describe_end
from pipelines.trainers.verl.rl import trainer
from tests.pipelines.trainers.verl.stages import rl_stage
from tests.pipelines.trainers.verl.training import Python, Training, check_baselines

pytestmark = [pytest.mark.nightly, pytest.mark.algorithms, pytest.mark.independent]

# Half of all responses are correct by their digest, so that the samples of a random model differ reproducibly.
REWARD = '''
"""A coin tossed by the response."""

import hashlib

from rewards.registry import register


@register("coin")
def coin(data_source, solution_str, ground_truth, extra_info):
    return float({score})


@register("short")
def short(data_source, solution_str, ground_truth, extra_info):
    return float(len(solution_str) % 3 == 0)
'''

# How far the weights of a checkpoint are from the initial model, and how often the optimizer updated them.
CHECKPOINT = """
import json, sys, torch
from safetensors.torch import load_file
before = load_file(f"{sys.argv[1]}/model.safetensors")
held = (f"{sys.argv[2]}/{kind}_world_size_1_rank_0.pt" for kind in ("model", "optim"))
after, optimizer = (torch.load(path, weights_only=False) for path in held)
after = {name: getattr(weight, "_local_tensor", weight) for name, weight in after.items()}
moved = max((after[name].float() - before[name].float()).abs().max().item() for name in before)
updates = {int(each["step"]) for each in optimizer["state"].values()}
print(json.dumps({"moved": moved, "updates": sorted(updates)}))
"""

# Algorithms to train with a KL penalty, and its default place.
WITH_KL = {"grpo": "loss", "gpg": "loss", "rloo": "reward", "ppo": "reward"}

PROMPTS, STEPS = 4, 2


def make_stage(name: str, reward: Path) -> RlStage:
    method = ALGORITHMS[name]  # type: ignore[index]
    return rl_stage(
        algorithm=name,
        reward=[{"name": each, "file": str(reward)} for each in ("coin", "short")[: method.rewards]],
        critic={"learning_rate": 1e-3} if method.critic else None,
        kl={} if name in WITH_KL else None,
        steps=STEPS,
        learning_rate=1e-3,
        batch={"prompts": PROMPTS, "mini": PROMPTS if method.on_policy else PROMPTS // 2, "micro_per_gpu": 2},
        rollout={"samples": 2, "max_prompt_tokens": 128, "max_response_tokens": 16},
    )


COIN = "hashlib.sha256(solution_str.encode()).digest()[0] % 2"


def write_reward(folder: Path, score: str = COIN) -> Path:
    path = folder / "coin.py"
    path.write_text(REWARD.format(score=score), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ALGORITHMS)
def test_two_steps(name: str, make: Callable[..., Training], python: Python, tmp_path: Path) -> None:
    # A baseline is the score of one response per prompt: with a coin, all of them may be 0.
    greedy = ALGORITHMS[name].greedy  # type: ignore[index]
    stage = make_stage(name, write_reward(tmp_path, f"1 + {COIN}" if greedy else COIN))
    training = make(stage, rows=16)
    paths = training.context.paths
    assert trainer.before_attempt(stage, paths) == 0
    training.run("train", trainer.launch(stage, training.context))
    result = trainer.result(stage, paths)
    assert (result.step, result.notes) == (STEPS, ())
    rows = trainer.metrics(stage, paths)
    assert [row["step"] for row in rows] == [1, 2]
    for row in rows:
        assert row["training/rollout_actor_probs_pearson_corr"] > 0.999
        assert math.isfinite(row["actor/pg_loss"])
        assert row["actor/grad_norm"] > 0
        assert row["critic/score/min"] < row["critic/score/mean"] < row["critic/score/max"]
        assert row["critic/advantages/max"] > row["critic/advantages/min"]
        assert ("actor/kl_loss" in row) == (WITH_KL.get(name) == "loss")
        assert ("actor/reward_kl_penalty" in row) == (WITH_KL.get(name) == "reward")
        if greedy:
            check_baselines(row)
        assert ("critic/vf_loss" in row) == ALGORITHMS[name].critic  # type: ignore[index]
    evicted = sum(row.get("training/filter_groups/evicted_samples", 0) for row in rows)
    assert (evicted > 0) == (name == "dapo")
    found = json.loads(python(CHECKPOINT, Path(training.context.model), result.checkpoint / "actor"))
    assert found["moved"] > 0
    assert found["updates"] == [STEPS * PROMPTS // stage.batch.mini]


def test_dapo_aborts_when_no_scores_differ(make: Callable[..., Training], tmp_path: Path) -> None:
    stage = make_stage("dapo", write_reward(tmp_path, "1"))
    stage = stage.model_copy(update={"verl": {"algorithm.filter_groups.max_num_gen_batches": 2}})
    training = make(stage)
    log = training.context.paths.step("train") / "log"
    ended = training.run_unchecked("train", trainer.launch(stage, training.context))
    assert ended.status == 1
    message = describe_end(ended, log)
    expected = "ended with status 1: step 1 found 0 of 4 prompts whose samples differ in score, and dropped "
    assert message.startswith(expected), message
    assert message.endswith("Train on rows that the model solves sometimes")
