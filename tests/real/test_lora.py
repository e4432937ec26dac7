"""SFT with LoRA by either trainer: the adapters are merged before the hand-over."""

from __future__ import annotations

import json
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
