"""SFT with LoRA by either trainer: the adapters are merged before the hand-over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.real.chain import make_chain

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


@pytest.mark.parametrize("trainer", ["verl", pytest.param("llamafactory", marks=pytest.mark.nightly)])
def test_adapters_are_merged(trainer: str, tmp_path: Path, environments: None) -> None:
    (tmp_path / "lora.yaml").write_text(RECIPE.replace("TRAINER", trainer))
    with make_chain(str(tmp_path / "lora.yaml"), "lora", tmp_path) as chain:
        chain.complete()
        paths = chain.paths("sft")
        facts = json.loads((paths.step("handover") / "log").read_text().splitlines()[-1])
        # the seven linear layers of each of the two blocks
        assert facts["tensors_changed"] == 14
        assert not list(paths.model.glob("*adapter*")), "the adapters were merged"
        assert ("val/loss" if trainer == "verl" else "eval_loss") in paths.metrics.read_text()
        target = tmp_path / "exported"
        pipeline = str(Path(sys.executable).with_name("pipeline"))
        argv = [pipeline, "export", str(chain.directory), "sft", "--step", "2", "-o", str(target)]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        weights = "model.safetensors"
        assert (target / weights).read_bytes() == (paths.model / weights).read_bytes(), "merged as for the hand-over"
        assert "SFT, LoRA of rank 4" in (target / "README.md").read_text()
