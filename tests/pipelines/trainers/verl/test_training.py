"""verl itself, on this machine's CPU: PPO with a critic and a reference model, on two data-parallel workers."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import process
from pipelines.trainers.base import Launch
from pipelines.trainers.verl import trainer
from preprocess.rows import Message, RlRow
from tests.pipelines.trainers.verl.stages import context, rl_stage
from tests.rows import write_rows

pytestmark = pytest.mark.smoke

MODEL = """
import sys
from pathlib import Path
from pipelines.tiny_model import Config, make
make(Config(vocabulary=512, hidden_size=64, layers=2, heads=2, max_tokens=512, seed=0, rows=(), output=Path(sys.argv[1])))
"""

LOADED = """
import json, sys
from transformers import AutoModelForCausalLM
before, after = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in sys.argv[1:3])
moved = [name for name in before if not before[name].equal(after[name].to(before[name].dtype))]
print(json.dumps({"finite": all(w.isfinite().all().item() for w in after.values()), "moved": len(moved)}))
"""


@pytest.fixture
def python(verl_python: Path, verl_environment: dict[str, str]) -> Callable[..., str]:
    """Runs a program in verl's environment; its output."""

    def run(program: str, *arguments: Path) -> str:
        done = subprocess.run(
            [str(verl_python), "-W", "ignore", "-c", program, *map(str, arguments)],
            env=verl_environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


def write_tasks(path: Path, count: int) -> None:
    """Functions to write, which a random model cannot; the length of its answers is learned all the same."""
    rows = [
        RlRow(
            problem=str(number),
            id=f"row-{number}",
            data_source="test/addition",
            prompt=(Message("user", f"Write f, which adds {number}."),),
            ground_truth={"inputs": [[1]], "outputs": [1 + number], "fn_name": "f"},
        )
        for number in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, rows, "rl")


def test_ppo_with_a_critic_and_a_reference_model_on_two_workers(
    tmp_path: Path, verl_python: Path, verl_environment: dict[str, str], python: Callable[..., str]
) -> None:
    stage = rl_stage(
        algorithm="ppo",
        critic={"learning_rate": 1e-3},
        kl={"place": "reward", "coefficient": 0.01},
        reward="code_tests",
        steps=2,
        learning_rate=1e-2,
        batch={"prompts": 4, "mini": 2, "micro_per_gpu": 2},
        rollout={"samples": 2, "max_prompt_tokens": 128, "max_response_tokens": 16},
    )
    model = tmp_path / "model"
    python(MODEL, model)
    made = replace(context(stage, root=tmp_path / "stage", gpus_per_node=2), python=verl_python, model=str(model))
    write_tasks(made.paths.data / "train.parquet", 8)
    write_tasks(made.paths.data / "validation.parquet", 2)

    def run(name: str, launch: Launch) -> None:
        folder = made.paths.step(name)
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in launch.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        plugin = {name: verl_environment[name] for name in verl_environment if name.startswith("VERL_USE_")}
        outcome = process.run(
            launch.argv,
            cwd=folder,
            environment={**launch.environment, **plugin},
            log=folder / "log",
            run_directory=tmp_path,
        )
        assert outcome.status == 0, (folder / "log").read_text(errors="replace")[-4000:]

    assert trainer.before_attempt(stage, made.paths) == 0
    run("train", trainer.launch(stage, made))
    result = trainer.result(stage, made.paths)
    assert result.step == 2
    assert (result.checkpoint / "critic").is_dir()
    rows = trainer.metrics(stage, made.paths)
    assert [row["step"] for row in rows] == [1, 2]
    for row in rows:
        # The rollout's weights are the trainer's: in 32 bits both find the same probabilities.
        assert row["training/rollout_probs_diff_max"] < 1e-6
        assert math.isfinite(row["critic/vf_loss"])
        assert "actor/reward_kl_penalty" in row
    made.paths.checkpoint.symlink_to(result.checkpoint)
    run("export", trainer.export(stage, made))
    found = json.loads(python(LOADED, model, made.paths.export))
    assert found["finite"]
    assert found["moved"] > 0
