"""Adapters are merged before a model is handed on: what the next stage gets is a whole model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.run.plan import stage_paths
from tests import ROOT

pytestmark = pytest.mark.smoke


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


def test_lora_is_merged_before_it_is_handed_on(tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    for trainer in ("llamafactory", "verl"):
        trainer_python(trainer)
    recipe = tmp_path / "lora.yaml"
    recipe.write_text(RECIPE)
    pipeline = Path(sys.executable).with_name("pipeline")
    done = subprocess.run([pipeline, "run", recipe, "--runs", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    paths = stage_paths(tmp_path / "lora", "sft")
    assert (paths.checkpoint / "adapter_model.safetensors").exists(), "adapters were trained"
    assert not list(paths.model.glob("adapter*")), "and merged"
    facts = json.loads((paths.step("handover") / "log").read_text().splitlines()[-1])
    # adapters on the seven linear layers of each of the two blocks, and nothing else
    assert facts["tensors_changed"] == 14
    assert "eval_loss" in paths.metrics.read_text()
    after = stage_paths(tmp_path / "lora", "by-verl")
    assert not (after.export / "lora_adapter").exists(), "verl leaves the adapters beside the model that they were trained on"
    facts = json.loads((after.step("handover") / "log").read_text().splitlines()[-1])
    assert facts["tensors_changed"] == 14
