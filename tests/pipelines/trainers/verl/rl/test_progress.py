"""Metrics and progress from verl's metric files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import StepError
from pipelines.trainers.base import StagePaths
from pipelines.trainers.verl.rendering import metrics_folder
from pipelines.trainers.verl.rl.reward import failures_folder
from pipelines.trainers.verl.rl.trainer import before_attempt, lost_metrics, metrics, progress
from rewards.scoring.failures import FILE, Failures
from tests.pipelines.trainers.verl.stages import rl_stage


def line(step: int, **data: Any) -> str:
    return json.dumps({"step": step, "data": {name.replace("__", "/"): value for name, value in data.items()}})


def trained(step: int, reward: float) -> str:
    return line(step, training__global_step=step, critic__score__mean=reward, actor__entropy=1.5)


def attempt(paths: StagePaths, started: int, *lines: str) -> None:
    metrics_folder(paths).mkdir(parents=True, exist_ok=True)
    (metrics_folder(paths) / f"{started}-1.jsonl").write_text("\n".join(lines) + "\n")


def test_no_progress_before_the_first_step(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    assert progress(rl_stage(), paths) is None
    attempt(paths, 1, line(0, **{"val-core/x/acc": 0.5}))
    assert progress(rl_stage(), paths) is None
    assert metrics(rl_stage(), paths) == [{"step": 0, "val-core/x/acc": 0.5}]


def test_progress_shows_the_reward_first(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    attempt(paths, 1, trained(1, 0.25), trained(2, 0.5))
    found = progress(rl_stage(steps=4), paths)
    assert found is not None
    assert (found.step, found.total) == (2, 4)
    assert list(found.metrics.items()) == [("reward", 0.5), ("entropy", 1.5)]


def test_last_attempt_replaces_steps_after_its_resume(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    attempt(paths, 10, trained(3, 0.9))
    attempt(paths, 9, trained(1, 0.1), trained(2, 0.2), trained(3, 0.3), trained(4, 0.4))
    assert [(row["step"], row["critic/score/mean"]) for row in metrics(rl_stage(), paths)] == [(1, 0.1), (2, 0.2), (3, 0.9)]


def test_validation_after_resume_is_added_to_its_step(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    attempt(paths, 1, trained(1, 0.1), trained(2, 0.2), trained(3, 0.3))
    attempt(paths, 2, line(2, **{"val-core/x/acc": 0.5}))
    rows = metrics(rl_stage(), paths)
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[1]["critic/score/mean"] == 0.2
    assert rows[1]["val-core/x/acc"] == 0.5


def test_truncated_lines_and_other_values_are_skipped(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    attempt(paths, 1, trained(1, 0.1), line(2, training__global_step=2, text="x", nothing=None, flag=True), '{"step": 3, "da')
    assert metrics(rl_stage(), paths)[1:] == [{"step": 2, "training/global_step": 2}]


def test_total_of_epochs_is_counted_by_verl(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    attempt(paths, 1, trained(1, 0.1))
    stage = rl_stage(steps=..., epochs=2.0)
    first = progress(stage, paths)
    assert first is not None
    assert first.total is None
    folder = paths.checkpoints / "global_step_1"
    (folder / "actor").mkdir(parents=True)
    (folder / "progress.json").write_text('{"step": 1, "total_steps": 8}')
    later = progress(stage, paths)
    assert later is not None
    assert later.total == 8


def test_lost_metrics_are_noted(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    attempt(paths, 1, line(0, **{"val-core/x/acc": 0.5}), trained(1, 0.1), trained(2, 0.2))
    attempt(paths, 2, line(3, **{"val-core/x/acc": 0.5}), trained(4, 0.4))
    (note,) = lost_metrics(metrics(rl_stage(), paths), 4)
    assert note.startswith("the metrics of step 3 were lost")
    assert lost_metrics(metrics(rl_stage(), paths), 2) == ()


def test_an_entry_that_ignores_the_reward_is_aborted_after_its_first_step(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage(entry="mine.program", checkout="/nowhere")
    assert progress(stage, paths) is None
    attempt(paths, 1, trained(1, 0.25))
    with pytest.raises(StepError, match=r"mine\.program ignores the recipe's `reward`"):
        progress(stage, paths)
    assert progress(rl_stage(), paths) is not None


def test_an_entry_that_scored_in_an_earlier_attempt(tmp_path: Path) -> None:
    paths, stage = StagePaths(tmp_path), rl_stage(entry="mine.program", checkout="/nowhere")
    failures_folder(paths).mkdir(parents=True)
    Failures(failures_folder(paths) / FILE, 0.1).passed()
    attempt(paths, 1, trained(1, 0.25))
    assert progress(stage, paths) is not None
    before_attempt(stage, paths)
    # The next attempt has not yet scored anything.
    assert progress(stage, paths) is not None
