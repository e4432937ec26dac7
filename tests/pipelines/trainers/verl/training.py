"""Real trainings by verl on a CPU with a tiny model and a few rows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.recipe.schema import RlStage
from pipelines.run import process
from pipelines.trainers.base import Context, Launch
from preprocess.rows import Message, RlRow
from tests.pipelines.trainers.verl.stages import context
from tests.rows import write_rows

Python = Callable[..., str]
"""Runs a program in verl's environment with paths as arguments; returns its output."""

_MODEL = """
import sys
from pathlib import Path
from pipelines.models.tiny import Config, make
make(Config(vocabulary=512, hidden_size=64, layers=2, heads=2, max_tokens=512, seed=0, rows=(), output=Path(sys.argv[1])))
"""

_WEIGHTS = """
import json, sys
from transformers import AutoModelForCausalLM
before, after = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in sys.argv[1:3])
moved = [name for name in before if not before[name].equal(after[name].to(before[name].dtype))]
print(json.dumps({"finite": all(w.isfinite().all().item() for w in after.values()), "moved": len(moved)}))
"""


def run_python(python: Path, environment: Mapping[str, str], program: str, *arguments: Path) -> str:
    """Run a program and return its output; fail if it fails."""
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", program, *map(str, arguments)],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def run_probe(
    python: Path, environment: Mapping[str, str], probe: Path, folder: Path, *arguments: Path
) -> list[dict[str, Any]]:
    """Run a probe script in verl's environment, and return its JSON lines."""
    done = subprocess.run(
        [str(python), "-W", "ignore", str(probe), str(folder), *map(str, arguments)],
        env={**environment, "VERL_PLATFORM": "cpu"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]


def write_tasks(path: Path, count: int, data_source: str = "test/addition") -> None:
    """Write rows of programming tasks."""
    rows = [
        RlRow(
            problem=str(number),
            id=f"row-{number}",
            data_source=data_source,
            prompt=(Message("user", f"Write f, which adds {number}."),),
            ground_truth={"inputs": [[1]], "outputs": [1 + number], "fn_name": "f"},
        )
        for number in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, rows, "rl")


@dataclass(frozen=True)
class Training:
    """A stage that is ready to train in a temporary folder."""

    context: Context
    environment: Mapping[str, str]
    """Variables with which verl loads this checkout's plugin."""
    python: Python

    def run(self, name: str, launch: Launch) -> None:
        """Run one of its commands; fail if it fails."""
        outcome = self.run_unchecked(name, launch)
        assert outcome.status == 0, (self.context.paths.step(name) / "log").read_text(errors="replace")[-4000:]

    def run_unchecked(self, name: str, launch: Launch) -> process.Outcome:
        """Run one of its commands and return its outcome."""
        folder = self.context.paths.step(name)
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in launch.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        plugin = {key: value for key, value in self.environment.items() if key.startswith("VERL_USE_")}
        return process.run(
            launch.argv,
            cwd=folder,
            environment={**launch.environment, **plugin},
            log=folder / "log",
            run_directory=self.context.paths.root.parent,
        )

    def weights(self, trained: Path) -> dict[str, Any]:
        """Return whether all weights of a trained model are finite, and how many of its tensors changed."""
        found: dict[str, Any] = json.loads(self.python(_WEIGHTS, Path(self.context.model), trained))
        return found


def check_baselines(row: Mapping[str, float]) -> None:
    """Check that the advantages of a ReMax step are scores minus baselines."""
    mean = row["critic/score/mean"] - row["training/baseline/score/mean"]
    assert row["training/baseline/score/mean"] > 0
    assert row["critic/advantages/min"] <= mean <= row["critic/advantages/max"]


def make_training(
    stage: RlStage, folder: Path, verl: Path, environment: Mapping[str, str], python: Python, rows: int = 8, workers: int = 1
) -> Training:
    """Make a tiny model, and rows to train and validate on."""
    model = folder / "model"
    python(_MODEL, model)
    made = replace(context(stage, root=folder / "stage", gpus_per_node=workers), python=verl, model=str(model))
    write_tasks(made.paths.data / "train.parquet", rows)
    write_tasks(made.paths.data / "validation.parquet", 2)
    return Training(made, environment, python)
