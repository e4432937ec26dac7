"""GRPO learns: a reward for answers of one form climbs from chance to nearly 1; with a defect of the training it does not.

This covers sampling, reward, advantages, update and the weights of the rollout. recipes/learns.yaml is a real task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.trainers.verl.rl import trainer
from tests.pipelines.trainers.verl.stages import rl_stage
from tests.pipelines.trainers.verl.training import Training, write_tasks

pytestmark = [pytest.mark.real, pytest.mark.learns]

# A third of the responses of a random model begin with a lower-case letter.
REWARD = """
import string

from rewards.registry import register


@register("lower_case")
def lower_case(data_source, solution_str, ground_truth, extra_info):
    return float(solution_str[:1] in set(string.ascii_lowercase))
"""

STEPS, SAMPLES = 20, 8
VALIDATION = "val-core/test/addition/reward/mean@1"


def train(make: Callable[..., Training], folder: Path, weight: float = 1, defect: str | None = None) -> list[dict[str, Any]]:
    """Train 20 steps of GRPO; return the metrics of the first validation and of each step."""
    reward = folder / "lower_case.py"
    reward.write_text(REWARD, encoding="utf-8")
    stage = rl_stage(
        reward={"name": "lower_case", "file": str(reward), "weight": weight},
        steps=STEPS,
        learning_rate=2e-2,
        batch={"prompts": 8, "mini": 8, "micro_per_gpu": 64},
        rollout={"samples": SAMPLES, "max_prompt_tokens": 128, "max_response_tokens": 4},
        validate_every=10,
    )
    training = make(stage, rows=64)
    paths = training.context.paths
    write_tasks(paths.data / "validation.parquet", 32)
    if defect is not None:
        modules = f"{training.environment['VERL_USE_EXTERNAL_MODULES']},tests.pipelines.trainers.verl.sabotage.{defect}"
        training = replace(training, environment={**training.environment, "VERL_USE_EXTERNAL_MODULES": modules})
    assert trainer.before_attempt(stage, paths) == 0
    training.run("train", trainer.launch(stage, training.context))
    return [dict(row) for row in trainer.metrics(stage, paths)]


def check_learned(rows: list[dict[str, Any]]) -> None:
    """Check that the shares of sampled and of greedy responses with the form climbed from chance to nearly 1."""
    # A negative weight changes the sign of the reward, not the share.
    scores = [abs(row["critic/score/mean"]) for row in rows if row["step"]]
    greedy = [abs(row[VALIDATION]) for row in rows if VALIDATION in row]
    print(scores, greedy)
    assert len(scores) == STEPS
    assert scores[0] < 0.4
    assert sum(scores[-3:]) / 3 > 0.9
    assert greedy[-1] > 0.9


def test_a_constant_form_is_learned(make: Callable[..., Training], tmp_path: Path) -> None:
    check_learned(train(make, tmp_path))


@pytest.mark.nightly
@pytest.mark.independent
@pytest.mark.parametrize(("weight", "defect"), [(-1, None), (1, "zeroed"), (1, "stale")])
def test_a_defect_is_noticed(make: Callable[..., Training], tmp_path: Path, weight: float, defect: str | None) -> None:
    rows = train(make, tmp_path, weight, defect)
    with pytest.raises(AssertionError):
        check_learned(rows)
