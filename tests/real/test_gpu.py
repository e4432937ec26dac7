"""The chain on a GPU with the CUDA environments: what a CPU cannot show."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.environments import TRAINERS, detected_platform, environment
from pipelines.environments.ask import call
from pipelines.environments.builds import sync
from tests import ROOT
from tests.real.chain import Chain, make_chain, wait_for, wait_until_ended

pytestmark = [
    pytest.mark.real,
    pytest.mark.gpu,
    pytest.mark.skipif(detected_platform() != "cuda", reason="no NVIDIA GPU was found"),
]

# The last --set of a key counts; a chain sets the CPU.
ON_GPU = ("--set", "hardware.platform=cuda")

# A model whose steps a GPU feels. No answer ends before its limit, so all steps have the same work: 256 answers of 256 tokens.
LARGE = f"""\
name: large
model: {{make: qwen2, vocabulary: 4096, hidden_size: 1280, layers: 20, heads: 20, max_tokens: 1024}}
seed: 17
stages:
  - name: grpo
    kind: rl
    algorithm: grpo
    data:
      train: {{converter: programs_execution, source: {ROOT}/recipes/data/programs.py, options: {{questions: 2}}}}
      validation: {{fraction: 0.02}}
    reward: {{name: variety, file: variety.py}}
    steps: 4
    learning_rate: 1.0e-4
    batch: {{prompts: 64, mini: 64, micro_per_gpu: 32}}
    rollout: {{samples: 4, max_prompt_tokens: 320, max_response_tokens: 256}}
    save_every: 2
    verl: {{actor_rollout_ref.rollout.ignore_eos: true}}
"""

# Random weights have more or less variety; without a difference between rewards, GRPO has nothing to learn from.
VARIETY = """
from rewards.registry import register


@register("variety")
def variety(data_source, solution_str, ground_truth, extra_info):
    return len(set(solution_str[:1000])) / max(1, len(solution_str[:1000]))
"""


@pytest.fixture(scope="module", autouse=True)
def cuda_environments() -> None:
    """Build the CUDA environments that are missing."""
    for trainer in TRAINERS:
        found = environment(trainer, "cuda")
        if found.pinned and not found.is_ready():
            sync(trainer, "cuda")


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Chain]:
    (tmp_path / "large.yaml").write_text(LARGE)
    (tmp_path / "variety.py").write_text(VARIETY)
    with make_chain(str(tmp_path / "large.yaml"), "large", tmp_path / "runs") as chain:
        yield chain


def test_programs_are_isolated_in_the_trainers_environment() -> None:
    call(sys.executable, ["-c", "from pipelines.cli.main import main; main()", "doctor"])


def test_the_smoke_recipe_trains_all_stages(tmp_path: Path) -> None:
    with make_chain("smoke.yaml", "smoke", tmp_path / "runs") as chain:
        chain.complete(*ON_GPU)
        for stage in ("sft", "stage-one", "stage-two"):
            assert (chain.paths(stage).model / "model.safetensors").is_file()
        for stage in ("stage-one", "stage-two"):
            check_steps(chain, stage, 2)


def test_the_command_of_a_stage_trains_without_the_chain(large: Chain) -> None:
    large.complete(*ON_GPU)
    check_steps(large, "grpo", 4)
    stage = large.paths("grpo")
    stage.checkpoints.rename(stage.root / "chained")
    alone = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", str(stage.step("train") / "command.sh")], env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (stage.checkpoints / "global_step_4").is_dir()


def test_a_killed_run_frees_the_gpu_and_resumes(large: Chain) -> None:
    started = large.start(*ON_GPU)
    wait_for((large.paths("grpo").checkpoints / "latest_checkpointed_iteration.txt").exists, started)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    wait_until_ended(large.directory)
    assert "resumes from the checkpoint at step 2" in large.complete(*ON_GPU)
    check_steps(large, "grpo", 4)


def check_steps(chain: Chain, stage: str, last: int) -> None:
    """Check that the stage's steps were learned on a GPU, and that vLLM generated with the trainer's weights."""
    rows = [json.loads(line) for line in chain.paths(stage).metrics.read_text().splitlines()]
    assert rows[-1]["step"] == last
    for row in rows:
        assert math.isfinite(row["actor/grad_norm"])
        assert row["actor/perf/max_memory_allocated_gb"] > 0
        # In 16 bits the two differ a little; with other weights they are unrelated.
        assert row["training/rollout_actor_probs_pearson_corr"] > 0.98
