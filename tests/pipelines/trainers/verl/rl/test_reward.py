"""Failed rewards: the note after training, and aborting when too many fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import StepError
from pipelines.trainers.base import StagePaths
from pipelines.trainers.verl.rl import trainer
from pipelines.trainers.verl.rl.reward import failed_rewards, failures_folder
from rewards.errors import RewardError
from rewards.plugins.loading import load
from rewards.scoring.failures import FILE, Failures
from tests.pipelines.trainers.verl.stages import rl_stage


def count(paths: StagePaths, passed: int, failed: int, processes: int = 1) -> None:
    """Count rewards as several processes do."""
    for _ in range(processes):
        failures = Failures(failures_folder(paths) / FILE, 1.0)
        for _ in range(passed):
            failures.passed()
        for number in range(failed):
            failures.failed(load("white_box"), ValueError("broken"), {"row": number, "data_source": "d"})


def test_failed_rewards_are_noted(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage()
    assert failed_rewards(stage, paths) == ()
    count(paths, 300, 0)
    assert failed_rewards(stage, paths) == ()
    count(paths, 300, 2, processes=4)
    file = paths.step("train") / "rewards" / "failures.jsonl"
    assert failed_rewards(stage, paths) == (f"8 of 1,508 rewards failed and scored 0: {file}",)
    assert len(file.read_text().splitlines()) == 8


def test_limit_applies_to_all_processes_together(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage(max_failed_rewards=0.2)
    count(paths, 6, 2, processes=4)
    with pytest.raises(StepError, match=r"8 of 32 rewards failed and scored 0: .*; max_failed_rewards is 0\.2$"):
        failed_rewards(stage, paths)


def test_limit_applies_to_a_short_training(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    count(paths, 7, 1)
    assert len(failed_rewards(rl_stage(max_failed_rewards=0.2), paths)) == 1
    with pytest.raises(StepError, match=r"1 of 8 rewards failed"):
        failed_rewards(rl_stage(), paths)


def test_attempt_resets_counts_and_keeps_earlier_failures(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage()
    trainer.before_attempt(stage, paths)
    for kept in (1, 2):
        count(paths, 30, 30)
        trainer.before_attempt(stage, paths)
        assert failed_rewards(stage, paths) == ()
        assert len(failures_folder(paths).with_name(f"rewards-{kept}").joinpath(FILE).read_text().splitlines()) == 30
    count(paths, 30, 0)
    trainer.before_attempt(stage, paths)
    assert sorted(path.name for path in paths.step("train").iterdir()) == ["rewards-1", "rewards-2"]


def test_abort_is_reported_by_progress_until_the_next_attempt(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage()
    trainer.before_attempt(stage, paths)
    assert trainer.progress(stage, paths) is None
    failures = Failures(failures_folder(paths) / FILE, 0.5)
    with pytest.raises(RewardError) as stopped:
        for number in range(40):
            failures.failed(load("white_box"), ValueError("broken"), {"row": number, "data_source": "d"})
    with pytest.raises(StepError) as caught:
        trainer.progress(stage, paths)
    assert str(caught.value) == str(stopped.value)
    assert str(caught.value).startswith(
        "reward white_box failed on 32 of 32 responses (100%; max_failed_rewards is 0.5); first on "
    )
    trainer.before_attempt(stage, paths)
    assert trainer.progress(stage, paths) is None
