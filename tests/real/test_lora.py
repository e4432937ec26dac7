"""SFT with LoRA by either trainer, and GRPO: the adapters are merged before the hand-over."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT
from tests.real.chain import Chain, make_chain

pytestmark = pytest.mark.real

RECIPE = f"""
name: lora
model: {{make: qwen2, vocabulary: 1024, hidden_size: 64, layers: 2, heads: 2, max_tokens: 1024}}
hardware: {{platform: cpu}}
stages:
  - name: sft
    kind: sft
    trainer: TRAINER
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    lora: {{rank: 4, alpha: 8}}
    steps: 2
    validate_every: 2
    learning_rate: 0.01
    batch: {{per_device: 4}}
    max_tokens: 512
"""


# How far the merged weights are from those of the initial model and the adapters of the checkpoint, and how far they moved.
MERGED = """
import json, sys, torch
from safetensors.torch import load_file
base, merged = (load_file(f"{folder}/model.safetensors") for folder in sys.argv[1:3])
held = torch.load(f"{sys.argv[3]}/actor/model_world_size_1_rank_0.pt", weights_only=False)
held = {name: getattr(weight, "_local_tensor", weight).float() for name, weight in held.items()}
wrong, moved = 0.0, []
for name in base:
    a, b = (held.get(f"base_model.model.{name[:-7]}.lora_{part}.default.weight") for part in "AB")
    change = merged[name].float() - base[name].float()
    expected = torch.zeros_like(change) if a is None else 8 / 4 * b @ a
    wrong = max(wrong, (change - expected).abs().max().item())
    moved += [] if a is None else [expected.abs().max().item()]
print(json.dumps({"wrong": wrong, "moved": moved}))
"""

GRPO = f"""
name: lora-rl
model: {{make: qwen2, vocabulary: 1024, hidden_size: 64, layers: 2, heads: 2, max_tokens: 1024}}
stages:
  - name: rl
    kind: rl
    algorithm: grpo
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    reward: {{name: tie_break, file: {ROOT}/pipelines/smoke/tie_break.py}}
    lora: {{rank: 4, alpha: 8, target: "q_proj, v_proj, down_proj"}}
    kl: {{}}
    steps: 3
    save_every: 2
    learning_rate: 0.01
    batch: {{prompts: 4, mini: 4, micro_per_gpu: 2}}
    rollout: {{samples: 2, max_prompt_tokens: 768, max_response_tokens: 32}}
"""


@pytest.mark.nightly
def test_grpo_samples_from_its_adapters_and_merges_them(
    tmp_path: Path, environments: None, trainer_python: Callable[[str], Path]
) -> None:
    (tmp_path / "lora.yaml").write_text(GRPO)
    with make_chain(str(tmp_path / "lora.yaml"), "lora-rl", tmp_path) as chain:
        chain.complete()
        paths = chain.paths("rl")
        facts = json.loads((paths.step("handover") / "log").read_text().splitlines()[-1])
        assert facts["tensors_changed"] == 6, "three linear layers of each of the two blocks"
        rows = [json.loads(line) for line in paths.metrics.read_text().splitlines()]
        assert [row["step"] for row in rows] == [1, 2, 3]
        # The reference is the same model without its adapters.
        assert rows[0]["actor/kl_loss"] == 0 < rows[2]["actor/kl_loss"]
        for row in rows:
            # vLLM generated with the adapters of the step: without them, its probabilities would be those of the reference.
            assert row["training/rollout_probs_diff_max"] < 1e-4
            assert row["training/rollout_actor_probs_pearson_corr"] > 0.999
        folders = [chain.directory / "model", paths.model, paths.checkpoint]
        argv = [str(trainer_python("verl")), "-c", MERGED, *map(str, folders)]
        found = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        # The merged model has 16 bits.
        assert len(found["moved"]) == 6 and min(found["moved"]) > 0.005
        assert found["wrong"] < 0.002


@pytest.mark.parametrize(
    ("trainer", "exported"),
    [
        ("verl", False),
        pytest.param("verl", True, marks=pytest.mark.nightly),
        pytest.param("llamafactory", True, marks=pytest.mark.nightly),
    ],
)
def test_adapters_are_merged(trainer: str, exported: bool, tmp_path: Path, environments: None) -> None:
    (tmp_path / "lora.yaml").write_text(RECIPE.replace("TRAINER", trainer))
    with make_chain(str(tmp_path / "lora.yaml"), "lora", tmp_path) as chain:
        chain.complete()
        paths = chain.paths("sft")
        facts = json.loads((paths.step("handover") / "log").read_text().splitlines()[-1])
        # the seven linear layers of each of the two blocks
        assert facts["tensors_changed"] == 14
        assert not list(paths.model.glob("*adapter*")), "the adapters were merged"
        assert ("val/loss" if trainer == "verl" else "eval_loss") in paths.metrics.read_text()
        if exported:
            check_export(chain, tmp_path / "exported")


def check_export(chain: Chain, target: Path) -> None:
    """Check that `pipeline export` merges the adapters of a checkpoint as the hand-over does."""
    pipeline, weights = str(Path(sys.executable).with_name("pipeline")), "model.safetensors"
    argv = [pipeline, "export", str(chain.directory), "sft", "--step", "2", "-o", str(target)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (target / weights).read_bytes() == (chain.paths("sft").model / weights).read_bytes()
    assert "SFT, LoRA of rank 4" in (target / "README.md").read_text()
