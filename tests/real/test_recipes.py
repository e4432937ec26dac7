"""`pipeline run RECIPE --smoke` of every shipped recipe through the real trainers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.run import process
from pipelines.run.plan import stage_paths

pytestmark = [pytest.mark.nightly, pytest.mark.independent]

# InternBootcamp is not on the package registry: this module has its interface and gives every response of the example 0.
BOOTCAMP = """
class _Bootcamp:
    @classmethod
    def verify_score(cls, model_output, identity, **options):
        return 0.0

def __getattr__(name):
    if name.endswith("bootcamp"):
        return type(name, (_Bootcamp,), {})
    raise AttributeError(name)
"""


@dataclass(frozen=True)
class Expected:
    """What the smoke of a recipe must do."""

    name: str
    """The run's name."""
    sft: tuple[str, ...] = ()
    rl: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    """Metrics of each RL step."""
    printed: tuple[str, ...] = ()


RECIPES = {
    "execverify.yaml": Expected(
        "execverify-7b-smoke",
        sft=("sft",),
        rl=("stage-one", "stage-two"),
        metrics=("actor/entropy",),
        printed=("stage-one.rollout.samples\t8\t2", "is not in the hub's cache, and the hub does not answer"),
    ),
    "apps_ppo.yaml": Expected(
        "apps-ppo-3b-smoke", rl=("rl",), metrics=("critic/vf_loss",), printed=("is exported: best validation score",)
    ),
    "custom_sft.yaml": Expected("custom-sft-7b-smoke", sft=("sft",), rl=("rl",), metrics=("actor/kl_loss",)),
    "python_interpreter.yaml": Expected(
        "python-interpreter-1.5b-smoke", rl=("rl",), metrics=("actor/kl_loss", "tool/calls/mean")
    ),
    "bootcamp.yaml": Expected(
        "bootcamp-7b-smoke",
        rl=("rl",),
        metrics=("actor/kl_loss",),
        printed=("reward\tbootcamp and verl\tbootcamp and verl and tie_break",),
    ),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_smoke(recipe: str, tmp_path: Path, environments: None) -> None:
    """Every stage hands a model over and learns from rewards that differ."""
    expected = RECIPES[recipe]
    done = run(recipe, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    directory = tmp_path / expected.name
    assert f"ran, from rows to model: {directory}" in done.stdout
    assert f"next: pipeline check {recipe}" in done.stdout.splitlines()
    assert [text for text in expected.printed if text not in done.stdout] == []
    for stage in (*expected.sft, *expected.rl):
        assert (stage_paths(directory, stage).model / "model.safetensors").is_file()
    for stage in expected.rl:
        rows = [row for row in read_metrics(stage_paths(directory, stage).metrics) if "training/global_step" in row]
        assert [row["step"] for row in rows] == [1, 2]
        for row in rows:
            assert [name for name in expected.metrics if name not in row] == []
            # float32 on both sides: the weights reached vLLM
            assert row["training/rollout_actor_probs_pearson_corr"] > 0.999
            assert row["critic/score/max"] > row["critic/score/min"]
        failures = stage_paths(directory, stage).step("train") / "rewards" / "failures.jsonl"
        assert not failures.exists() or not failures.read_text(), "no reward failed"
    assert process.find_processes(directory) == {}


def run(recipe: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "packages" / "internbootcamp").mkdir(parents=True)
    (folder / "packages" / "internbootcamp" / "__init__.py").write_text(BOOTCAMP)
    # Without the hub, so that the result does not depend on the network.
    variables = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "PYTHONPATH": str(folder / "packages")}
    pipeline = Path(sys.executable).with_name("pipeline")
    argv = [str(pipeline), "run", recipe, "--smoke", "--runs", str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **variables}, cwd=folder)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
