"""Real trainings by verl on a CPU: PPO with a critic and a reference model on two workers, ReMax with `keep_best`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.trainers.verl.checkpoints.validations import read_validation
from pipelines.trainers.verl.rendering import validations_folder
from pipelines.trainers.verl.rl import trainer
from tests.pipelines.trainers.verl.stages import rl_stage
from tests.pipelines.trainers.verl.training import Training, check_baselines, write_tasks

pytestmark = [pytest.mark.real, pytest.mark.nightly]

# The accuracy of a validation: before training, and after each of three steps; two rows with two samples each.
REWARD = """
import itertools

from rewards.registry import register

calls = itertools.count()


@register("fading")
def fading(data_source, solution_str, ground_truth, extra_info):
    if data_source == "test/validation":
        accuracy = (0.1, 0.75, 0.5, 0.25)[next(calls) // 4]
        return {"score": 2 - accuracy, "accuracy": accuracy}
    return {"score": len(solution_str) / 100, "accuracy": 0.0}
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_ppo_with_a_critic_and_a_reference_model(make: Callable[..., Training], workers: int) -> None:
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
    training = make(stage, workers=workers)
    made = training.context
    assert trainer.before_attempt(stage, made.paths) == 0
    training.run("train", trainer.launch(stage, made))
    result = trainer.result(stage, made.paths)
    assert result.step == 2
    assert (result.checkpoint / "critic").is_dir()
    rows = trainer.metrics(stage, made.paths)
    assert [row["step"] for row in rows] == [1, 2]
    for row in rows:
        # Rollout and trainer have the same weights: in 32 bits their probabilities agree.
        assert row["training/rollout_probs_diff_max"] < 1e-6
        assert math.isfinite(row["critic/vf_loss"])
        assert "actor/reward_kl_penalty" in row
    made.paths.checkpoint.symlink_to(result.checkpoint)
    training.run("export", trainer.export(stage, made))
    found = training.weights(made.paths.export)
    assert found["finite"]
    assert found["moved"] > 0


def test_remax_exports_the_best_checkpoint(make: Callable[..., Training], tmp_path: Path) -> None:
    reward = tmp_path / "fading.py"
    reward.write_text(REWARD, encoding="utf-8")
    stage = rl_stage(
        algorithm="remax",
        reward={"name": "fading", "file": str(reward)},
        steps=3,
        learning_rate=1e-3,
        batch={"prompts": 4, "mini": 2, "micro_per_gpu": 2},
        rollout={"samples": 1, "max_prompt_tokens": 128, "max_response_tokens": 16},
        validate_every=1,
        validation={"samples": 2},
        save_every=1,
        keep_checkpoints=1,
        keep_best=True,
    )
    training = make(stage)
    paths = training.context.paths
    write_tasks(paths.data / "validation.parquet", 2, "test/validation")
    assert trainer.before_attempt(stage, paths) == 0
    training.run("train", trainer.launch(stage, training.context))
    result = trainer.result(stage, paths)
    assert (result.step, result.checkpoint.name) == (3, "global_step_1")
    assert result.notes == ("step 1 is exported: best validation accuracy 0.75; last step 3: 0.25",)
    # At the third step, the second was neither the newest nor the best.
    assert sorted(path.name for path in paths.checkpoints.glob("global_step_*")) == ["global_step_1", "global_step_3"]
    before, *rows = trainer.metrics(stage, paths)
    assert before["val-aux/test/validation/accuracy/mean@2"] == pytest.approx(0.1)
    assert before["val-core/test/validation/reward/mean@2"] == pytest.approx(1.9)
    assert sorted(path.name for path in validations_folder(paths).iterdir()) == ["0.json", "1.json", "2.json", "3.json"]
    assert [row["accuracy"] for row in read_validation(validations_folder(paths), 1)["test/validation"].values()] == [0.75] * 2
    for row in rows:
        assert row["actor/grad_norm"] > 0
        assert row["training/rollout_probs_diff_max"] < 1e-6
        assert row["training/baseline/lost_samples"] == 0
        check_baselines(row)
