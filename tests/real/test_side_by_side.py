"""Two runs of reinforcement learning on one machine at the same time do not meet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import ROOT
from tests.real.chain import Chain, make_chain, wait_for

pytestmark = pytest.mark.nightly

RECIPE = """
name: NAME
model: {make: qwen2, vocabulary: 1024, hidden_size: 64, layers: 2, heads: 2, max_tokens: 1024}
seed: SEED
stages:
  - name: stage
    kind: rl
    algorithm: grpo
    data: {train: {converter: programs_execution, source: DATA, options: {questions: 2}}, validation: {fraction: 0.1}}
    reward: {name: white_box, options: {format_bonus: 0.1}}
    steps: 3
    learning_rate: 1.0e-4
    batch: {prompts: 4, mini: 4, micro_per_gpu: 4}
    rollout: {samples: 2, max_prompt_tokens: 320, max_response_tokens: 64}
"""


def weights(chain: Chain) -> bytes:
    return (chain.paths("stage").model / "model.safetensors").read_bytes()


def test_two_runs_at_once(tmp_path: Path, environments: None) -> None:
    """Each generates with its own weights: in float32 their probabilities agree with the trainer's to rounding."""
    recipes = {}
    for name, seed in (("one", 17), ("two", 18)):
        recipes[name] = tmp_path / f"{name}.yaml"
        text = RECIPE.replace("NAME", name).replace("SEED", str(seed)).replace("DATA", str(ROOT / "recipes/data/programs.py"))
        recipes[name].write_text(text)
    with (
        make_chain(str(recipes["one"]), "one", tmp_path / "first") as one,
        make_chain(str(recipes["two"]), "two", tmp_path / "second") as two,
    ):
        started = [one.start(), two.start()]
        logs = [chain.paths("stage").step("train") / "log" for chain in (one, two)]
        for log, process in zip(logs, started, strict=True):
            wait_for(log.exists, process)
        for process in started:
            out, err = process.communicate()
            assert process.returncode == 0, out + err
            assert "failed at step" not in out
        for chain in (one, two):
            rows = [json.loads(line) for line in chain.paths("stage").metrics.read_text().splitlines()]
            assert [row["step"] for row in rows] == [1, 2, 3]
            assert all(row["training/rollout_actor_probs_pearson_corr"] > 0.999 for row in rows)
        assert weights(one) != weights(two)
