"""LoRA by both SFT trainers: the adapters are merged before the hand-over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.run.plan import stage_paths
from tests import ROOT

pytestmark = pytest.mark.real

RECIPE = f"""
name: lora
model: {{make: qwen2, vocabulary: 1024, hidden_size: 64, layers: 2, heads: 2, max_tokens: 1024}}
hardware: {{platform: cpu}}
stages:
  - name: sft
    kind: sft
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    lora: {{rank: 4, alpha: 8}}
    steps: 4
    validate_every: 2
    learning_rate: 0.01
    batch: {{per_device: 4}}
    max_tokens: 512
  - name: by-verl
    kind: sft
    trainer: verl
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    lora: {{rank: 4, alpha: 8}}
    steps: 2
    learning_rate: 0.01
    batch: {{per_device: 4}}
    max_tokens: 512
"""


def test_adapters_are_merged(tmp_path: Path, environments: None) -> None:
    recipe = tmp_path / "lora.yaml"
    recipe.write_text(RECIPE)
    pipeline = Path(sys.executable).with_name("pipeline")
    done = subprocess.run([pipeline, "run", recipe, "--runs", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    paths = stage_paths(tmp_path / "lora", "sft")
    assert (paths.checkpoint / "adapter_model.safetensors").exists(), "adapters were trained"
    assert not list(paths.model.glob("adapter*")), "the adapters were merged"
    facts = json.loads((paths.step("handover") / "log").read_text().splitlines()[-1])
    # the seven linear layers of each of the two blocks
    assert facts["tensors_changed"] == 14
    assert "eval_loss" in paths.metrics.read_text()
    after = stage_paths(tmp_path / "lora", "by-verl")
    assert not (after.export / "lora_adapter").exists(), "verl exports the base model and the adapters"
    facts = json.loads((after.step("handover") / "log").read_text().splitlines()[-1])
    assert facts["tensors_changed"] == 14
