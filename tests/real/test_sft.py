"""SFT on two processes by either trainer, killed and resumed, equals an unbroken run byte for byte.

All tests use one run of four stages, each from the same model, in order.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.records.steps import read_record
from tests import ROOT
from tests.real.chain import Chain, make_chain, wait_for, wait_until_ended

pytestmark = pytest.mark.nightly

MODEL = {"make": "qwen2", "vocabulary": 512, "hidden_size": 64, "layers": 1, "heads": 1, "max_tokens": 512, "seed": 1}

# 32 training rows in steps of 12: an epoch of verl has two steps; it is saved and killed at the end of one. There are fewer
# validation rows than rows of a step.
RECIPE = f"""
name: sft
model: ./model
hardware: {{platform: cpu, gpus_per_node: 2}}
defaults:
  sft:
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    init_from: ./model
    learning_rate: 0.01
    batch: {{per_device: 3, accumulate: 2}}
    max_tokens: 512
    keep_best: true
    keep_checkpoints: 1
stages:
  - {{name: verl-killed, kind: sft, trainer: verl, epochs: 5, save_every: 2, validate_every: 2}}
  - {{name: verl-unbroken, kind: sft, trainer: verl, epochs: 5, save_every: 2, validate_every: 2}}
  - {{name: llamafactory-killed, kind: sft, packing: true, steps: 30, save_every: 10, validate_every: 10}}
  - {{name: llamafactory-unbroken, kind: sft, packing: true, steps: 30, save_every: 10, validate_every: 10}}
"""


@pytest.fixture(scope="module")
def chain(
    tmp_path_factory: pytest.TempPathFactory, environments: None, trainer_python: Callable[[str], Path]
) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("sft")
    (folder / "model.json").write_text(json.dumps({**MODEL, "rows": [], "output": str(folder / "model")}))
    make = [str(trainer_python("verl")), "-m", "pipelines.models.tiny", str(folder / "model.json")]
    subprocess.run(make, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    (folder / "sft.yaml").write_text(RECIPE)
    with make_chain(str(folder / "sft.yaml"), "sft", folder) as chain:
        yield chain


def test_kill_9_of_torchrun_ends_verls_workers(chain: Chain) -> None:
    started = chain.start("--set", "retries=0")
    wait_for(lambda: any(chain.paths("verl-killed").checkpoints.glob("*/progress.json")), started)
    (supervisor,) = psutil.Process(started.pid).children()
    (torchrun,) = supervisor.children()
    workers = torchrun.children()
    assert len(workers) >= 2 and all(os.getsid(worker.pid) != os.getsid(torchrun.pid) for worker in workers)
    torchrun.kill()
    _, err = started.communicate()
    assert started.returncode == 1
    assert "verl-killed/train was killed by signal 9" in err
    wait_until_ended(chain.directory)


def test_kill_9_of_the_run_ends_llamafactorys_workers(chain: Chain) -> None:
    started = chain.start()
    checkpoints = chain.paths("llamafactory-killed").checkpoints
    wait_for(lambda: any(checkpoints.glob("checkpoint-*/trainer_state.json")), started)
    started.kill()
    started.communicate()
    wait_until_ended(chain.directory)


def test_the_same_command_resumes(chain: Chain) -> None:
    assert "resumes from the checkpoint at step " in chain.complete()


@pytest.mark.parametrize("trainer", ["verl", "llamafactory"])
def test_resumed_equals_unbroken(chain: Chain, trainer: str) -> None:
    killed, unbroken = (chain.paths(f"{trainer}-{name}") for name in ("killed", "unbroken"))
    weights = [paths.model / "model.safetensors" for paths in (killed, unbroken)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    resumed = (killed.step("train") / "log").read_text()
    assert ("Found latest checkpoint" if trainer == "verl" else "Resuming training from") in resumed
    template = "chat_template.jinja"
    assert (killed.model / template).read_bytes() == (chain.runs / "model" / template).read_bytes()
    rows = [[json.loads(line) for line in paths.metrics.read_text().splitlines()] for paths in (killed, unbroken)]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]] == list(range(1, len(rows[0]) + 1))
    losses = [[row.get("val/loss", row.get("eval_loss")) for row in attempt] for attempt in rows]
    assert losses[0] == losses[1]
    assert sum(loss is not None for loss in losses[0]) == (5 if trainer == "verl" else 3)


@pytest.mark.parametrize("trainer", ["verl", "llamafactory"])
def test_the_best_checkpoint_is_handed_over(chain: Chain, trainer: str) -> None:
    paths = chain.paths(f"{trainer}-unbroken")
    rows = [json.loads(line) for line in paths.metrics.read_text().splitlines()]
    losses = {row["step"]: row.get("val/loss", row.get("eval_loss")) for row in rows}
    best = min((step for step, loss in losses.items() if loss is not None), key=lambda step: (losses[step], step))
    record = read_record(paths.step("train"))
    assert record is not None
    assert record.notes[0].startswith(f"step {best} is exported: lowest validation loss {losses[best]:.4g}")
    kept = {path.name.rpartition("_" if trainer == "verl" else "-")[2] for path in paths.checkpoints.glob("*[_-][0-9]*")}
    assert kept >= {str(best), str(max(losses))}
    assert len(kept) <= 2
    dropped = "an epoch has 2 steps of 12 rows: 8 of 32 rows are dropped" if trainer == "verl" else "32 rows were packed into "
    assert record.notes[1].startswith(dropped)
