"""`pipeline run RECIPE --smoke` through the real trainers, and what it must have done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.run import process
from pipelines.run.plan import stage_paths

# InternBootcamp is no package of the registry: a stand-in with its interface judges every puzzle of the example wrong.
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
    """What the smoke of a recipe must have done."""

    name: str
    """The run's."""
    sft: tuple[str, ...] = ()
    rl: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    """What each step of reinforcement learning has among its metrics."""
    told: tuple[str, ...] = ()
    """What stands in its output."""


def run(recipe: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "packages" / "internbootcamp").mkdir(parents=True)
    (folder / "packages" / "internbootcamp" / "__init__.py").write_text(BOOTCAMP)
    # Without a hub, so that it is the same everywhere.
    apart = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "PYTHONPATH": str(folder / "packages")}
    pipeline = Path(sys.executable).with_name("pipeline")
    argv = [pipeline, "run", recipe, "--smoke", "--runs", folder]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **apart}, cwd=folder)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def check(recipe: str, expected: Expected, folder: Path) -> None:
    """Runs a recipe's smoke; every stage has handed a model on, and learned by numbers that the rollout agrees with."""
    done = run(recipe, folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    directory = folder / expected.name
    assert f"ran, from rows to model: {directory}" in done.stdout
    assert done.stdout.splitlines()[-1] == f"next: pipeline check {recipe}"
    assert [text for text in expected.told if text not in done.stdout] == []
    for stage in (*expected.sft, *expected.rl):
        assert (stage_paths(directory, stage).model / "model.safetensors").is_file()
    for stage in expected.rl:
        rows = [row for row in read_metrics(stage_paths(directory, stage).metrics) if "training/global_step" in row]
        assert [row["step"] for row in rows] == [1, 2]
        for row in rows:
            assert [name for name in expected.metrics if name not in row] == []
            # 32 bits on both sides: the weights really reached vLLM
            assert row["training/rollout_actor_probs_pearson_corr"] > 0.999
            # told apart, so that something is learned
            assert row["critic/score/max"] > row["critic/score/min"]
        failures = stage_paths(directory, stage).step("train") / "rewards" / "failures.jsonl"
        assert not failures.exists() or not failures.read_text(), "no reward failed"
    assert process.find_processes(directory) == {}
