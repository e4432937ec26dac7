"""What became of a stage's rewards: told after it, and the end of it where too many failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import StepError
from pipelines.trainers.base import StagePaths
from pipelines.trainers.verl.rl import trainer
from pipelines.trainers.verl.rl.reward import begin_attempt, failed_rewards, failures_folder
from rewards.errors import RewardError
from rewards.plugins.loading import load
from rewards.scoring.failures import FILE, Failures
from tests.pipelines.trainers.verl.stages import rl_stage


def count(paths: StagePaths, passed: int, failed: int, processes: int = 1) -> None:
    """What so many processes would have counted."""
    for _ in range(processes):
        failures = Failures(failures_folder(paths) / FILE, 1.0)
        for _ in range(passed):
            failures.passed()
        for number in range(failed):
            failures.failed(load("white_box"), ValueError("broken"), {"row": number, "data_source": "d"})


def test_failed_rewards_are_told(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage()
    assert failed_rewards(stage, paths) == ()
    count(paths, 300, 0)
    assert failed_rewards(stage, paths) == ()
    count(paths, 300, 2, processes=4)
    file = paths.step("train") / "rewards" / "failures.jsonl"
    assert failed_rewards(stage, paths) == (f"8 of 1,508 rewards failed and scored 0: {file}",)
    assert len(file.read_text().splitlines()) == 8


def test_too_many_over_all_processes_fail_the_step(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage(max_failed_rewards=0.2)
    count(paths, 6, 2, processes=4)
    with pytest.raises(StepError, match=r"8 of 32 rewards failed and scored 0: .*; max_failed_rewards is 0\.2$"):
        failed_rewards(stage, paths)


def test_a_short_training_ends_in_failure_as_a_long_one_does(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    count(paths, 7, 1)
    assert len(failed_rewards(rl_stage(max_failed_rewards=0.2), paths)) == 1
    with pytest.raises(StepError, match=r"1 of 8 rewards failed"):
        failed_rewards(rl_stage(), paths)


def test_an_attempt_counts_anew_and_keeps_the_failures_before(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage()
    begin_attempt(paths)
    for kept in (1, 2):
        count(paths, 30, 30)
        begin_attempt(paths)
        assert failed_rewards(stage, paths) == ()
        assert len(failures_folder(paths).with_name(f"rewards-{kept}").joinpath(FILE).read_text().splitlines()) == 30
    count(paths, 30, 0)
    begin_attempt(paths)
    assert sorted(path.name for path in paths.step("train").iterdir()) == ["rewards-1", "rewards-2"]


def test_a_stop_is_seen_while_training_and_forgotten_by_the_next_attempt(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage()
    begin_attempt(paths)
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
    begin_attempt(paths)
    assert trainer.progress(stage, paths) is None
