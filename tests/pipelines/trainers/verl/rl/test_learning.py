"""GRPO learns: a reward for answers of one form climbs from chance to nearly 1; with a defect of the training it does not.

This covers sampling, reward, advantages, update and the weights of the rollout. recipes/learns.yaml is a real task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.recipe.schema import RlStage
from pipelines.trainers.verl.rl import trainer
from tests.pipelines.trainers.verl.stages import rl_stage
from tests.pipelines.trainers.verl.training import Python, Training, make_training, write_tasks

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


def train(
    make: Callable[..., Training], folder: Path, weight: float = 1, defect: str | None = None, **changes: Any
) -> list[dict[str, Any]]:
    """Train 20 steps of GRPO; return the metrics of the first validation and of each step."""
    reward = folder / "lower_case.py"
    reward.write_text(REWARD, encoding="utf-8")
    stage = rl_stage(
        reward={"name": "lower_case", "file": str(reward), "weight": weight},
        learning_rate=2e-2,
        batch={"prompts": 8, "mini": 8, "micro_per_gpu": 64},
        rollout={"samples": SAMPLES, "max_prompt_tokens": 128, "max_response_tokens": 4},
        **{"steps": STEPS, "validate_every": 10} | changes,
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


@pytest.mark.nightly
@pytest.mark.independent
def test_forked_processes_train_as_started_ones(
    tmp_path: Path, verl_python: Path, verl_environment: dict[str, str], python: Python
) -> None:
    """The norms of the gradients depend on all weights and on every token sampled before."""
    found = []
    for name, options in (("forked", {}), ("started", {"ray_kwargs.ray_init.runtime_env.py_executable": None})):
        (folder := tmp_path / name).mkdir()

        def make(stage: RlStage, rows: int, folder: Path = folder) -> Training:
            return make_training(stage, folder, verl_python, verl_environment, python, rows, 1)

        rows = train(make, folder, steps=4, validate_every=4, verl=options)
        found.append([(row["critic/score/mean"], row["actor/grad_norm"]) for row in rows if row["step"]])
        (configuration,) = folder.rglob("train.yaml")
        assert ("preload/client.py" in configuration.read_text(encoding="utf-8")) == (name == "forked")
    forked, started = found
    assert forked == started
    assert len({norm for _, norm in forked}) == 4 and all(norm > 0 for _, norm in forked)
