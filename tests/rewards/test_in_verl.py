"""The rewards with verl's reward managers, loaded by verl's code, in verl's environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.trainers.base import Context
from pipelines.trainers.verl.rl.reward import reward_function
from tests import ROOT
from tests.pipelines.trainers.verl.stages import context, rl_stage
from tests.rewards.conftest import Plugin

SCRIPT = """
import asyncio, json, sys
import numpy as np, torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager

settings, name = json.loads(sys.argv[1]), sys.argv[2]
if name == "remote":
    import ray
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
config = OmegaConf.create({
    "reward": {
        "reward_manager": {"source": "register", "name": name}, "num_workers": 2, "max_concurrent": 8, **settings["reward"]
    },
    "trainer": {"experiment_name": "test"},
})

class Words:
    def decode(self, ids, skip_special_tokens):
        return " ".join(map(str, ids.tolist()))

def row(number):
    def one(value):
        array = np.empty(1, dtype=object)
        array[0] = value
        return array
    return DataProto.from_dict(
        tensors={"responses": torch.full((1, 4), number), "attention_mask": torch.tensor([[1, 1, 1, 1, 0, 0]])},
        non_tensors={
            "data_source": one("plugin" if number % 2 else "other/set"),
            "reward_model": one({"ground_truth": f"{number} {number}"}),
            "extra_info": one({"id": f"row-{number}", "index": number}),
        },
    )

async def main():
    manager = load_reward_manager(config, Words())
    return await asyncio.gather(*(manager.run_single(row(number)) for number in range(40)))

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
print(json.dumps(loop.run_until_complete(main())))
"""

MINE = """
import asyncio, threading

@register("waits")
async def waits(data_source, solution_str, ground_truth, extra_info):
    "Whether the response is the ground truth; every seventh row is broken."
    await asyncio.sleep(0.01)
    if extra_info["index"] % 7 == 0:
        raise ValueError("seven")
    return {"score": float(solution_str == ground_truth), "accuracy": 0.5}

@register("blocks")
def blocks(data_source, solution_str, ground_truth, extra_info, **kwargs):
    "The same."
    if extra_info["index"] % 7 == 0:
        raise SystemExit(7)
    return solution_str == ground_truth
"""


@pytest.mark.nightly
@pytest.mark.parametrize("manager", ["naive", "dapo", "gdpo", "rate_limited", "remote"])
def test_verls_reward_managers_score_rows(
    trainer_python: Callable[[str], Path], plugin: Plugin, tmp_path: Path, manager: str
) -> None:
    path = str(plugin(MINE))
    rewards = [{"name": "waits", "file": path, "data_source": "plugin"}, {"name": "blocks", "file": path, "weight": 2.0}]
    stage = rl_stage(reward=rewards, max_failed_rewards=0.9)
    there: Context = context(stage, root=tmp_path)
    settings = reward_function(stage, there, {"reward": {"reward_manager": {"name": manager}, "num_workers": 2}})
    root = ROOT
    done = subprocess.run(
        [trainer_python("verl"), "-c", SCRIPT, json.dumps(settings), manager],
        capture_output=True,
        text=True,
        timeout=300,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])
    for number, result in enumerate(results):
        broken = number % 7 == 0
        score = 0.0 if broken else 1.0 if number % 2 else 2.0
        assert result["reward_score"] == score
        info = result["reward_extra_info"]
        assert list(info) == ["score", "accuracy", "has_accuracy", "format", "failed", "waits_score", "blocks_score"]
        assert (info["failed"], info["waits_score"]) == (float(broken), float(number % 2 and not broken))
    records = [json.loads(line) for line in (tmp_path / "train/rewards/failures.jsonl").read_text().splitlines()]
    assert sorted(each["row"] for each in records) == sorted(f"row-{number}" for number in range(0, 40, 7))
    assert {each["error"] for each in records} == {"ValueError: seven", "SystemExit: 7"}
