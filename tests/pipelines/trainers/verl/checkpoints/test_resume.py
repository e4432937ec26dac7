"""Resuming after a kill, and the result of a finished training."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import InputError, StepError
from pipelines.records.samples import sample_steps
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import write_samples
from pipelines.trainers.verl.rl.trainer import before_attempt, export, result
from tests.pipelines.trainers.test_samples import make_sample
from tests.pipelines.trainers.verl.stages import context, rl_stage


def save(paths: StagePaths, step: int, total: int = 4, *, marked: bool = True) -> Path:
    """Write a checkpoint; without its marker, it is incomplete."""
    folder = paths.checkpoints / f"global_step_{step}"
    (folder / "actor").mkdir(parents=True)
    (folder / "actor" / "model_world_size_1_rank_0.pt").write_bytes(b"weights")
    if marked:
        (folder / "progress.json").write_text(json.dumps({"step": step, "total_steps": total}))
    return folder


def tracker(paths: StagePaths) -> Path:
    return paths.checkpoints / "latest_checkpointed_iteration.txt"


def test_incomplete_checkpoint_is_deleted(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    save(paths, 2)
    half = save(paths, 4, marked=False)
    tracker(paths).write_text("4")
    assert before_attempt(rl_stage(), paths) == 2
    assert not half.exists()
    assert tracker(paths).read_text() == "2"


def test_empty_tracker_file_is_fixed(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    save(paths, 2)
    tracker(paths).write_text("")
    assert before_attempt(rl_stage(), paths) == 2
    assert tracker(paths).read_text() == "2"


def test_newest_checkpoint_has_the_highest_number(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    save(paths, 9)
    save(paths, 10)
    assert before_attempt(rl_stage(), paths) == 10
    assert {folder.name for folder in paths.checkpoints.glob("global_step_*")} == {"global_step_9", "global_step_10"}


def test_checkpoint_with_truncated_marker_is_deleted(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    (save(paths, 2) / "progress.json").write_text('{"step": 2, "tot')
    assert before_attempt(rl_stage(), paths) == 0
    assert list(paths.checkpoints.iterdir()) == []


def test_samples_of_lost_steps_are_deleted(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    save(paths, 2)
    for step in range(1, 5):
        write_samples(paths.samples, "train", step, [make_sample(step=step)], 8)
    assert before_attempt(rl_stage(), paths) == 2
    assert sample_steps(paths, "train") == [1, 2]


def test_stage_that_never_ran_starts_from_scratch(tmp_path: Path) -> None:
    assert before_attempt(rl_stage(), StagePaths(tmp_path)) == 0


def test_stage_without_complete_checkpoint_starts_from_scratch(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    save(paths, 2, marked=False)
    tracker(paths).write_text("2")
    assert before_attempt(rl_stage(), paths) == 0
    assert list(paths.checkpoints.iterdir()) == []


def test_too_few_rows_for_a_step(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    paths.data.mkdir()
    pq.write_table(pa.table({"row": list(range(7))}), paths.data / "train.parquet")
    with pytest.raises(InputError, match=r"stage one: 7 train rows in .*, at least 8 are needed"):
        before_attempt(rl_stage(batch={"prompts": 8, "mini": 8}), paths)
    assert before_attempt(rl_stage(batch={"prompts": 7, "mini": 7}), paths) == 0


def test_result_is_the_last_checkpoint(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    save(paths, 2)
    last = save(paths, 4)
    found = result(rl_stage(), paths)
    assert (found.checkpoint, found.step) == (last, 4)


def test_rows_that_verl_dropped_are_noted(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    paths.data.mkdir()
    pq.write_table(pa.table({"row": list(range(12))}), paths.data / "train.parquet")
    (save(paths, 4) / "progress.json").write_text(json.dumps({"total_steps": 4, "train_rows": 9, "validation_rows": 2}))
    dropped, _ = result(rl_stage(), paths).notes
    assert dropped == "3 of 12 train rows were dropped: their prompts are longer than 256 tokens"
    (paths.checkpoints / "global_step_4" / "progress.json").write_text(json.dumps({"total_steps": 4, "train_rows": 12}))
    (lost,) = result(rl_stage(), paths).notes
    assert lost.startswith("the metrics of step 1, 2, 3, 4 were lost")


def test_steps_of_epochs_are_counted_by_verl(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    save(paths, 6, total=6)
    assert result(rl_stage(steps=..., epochs=3.0), paths).step == 6


def test_training_that_ended_early_fails(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    save(paths, 4, total=6)
    with pytest.raises(StepError, match="verl ended at step 4 of 6"):
        result(rl_stage(steps=..., epochs=3.0), paths)
    with pytest.raises(StepError, match="verl ended at step 4 of 5"):
        result(rl_stage(steps=5), paths)


def test_training_without_checkpoint_fails(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    save(paths, 4, marked=False)
    with pytest.raises(StepError, match="without a complete checkpoint"):
        result(rl_stage(), paths)


def test_export_merges_the_policy_of_the_accepted_checkpoint() -> None:
    stage = rl_stage()
    rendered = export(stage, context(stage))
    assert rendered.argv == (
        "/environment/bin/python",
        "-m",
        "verl.model_merger",
        "merge",
        "--backend",
        "fsdp",
        "--local_dir",
        "/runs/demo/stages/one/checkpoint/actor",
        "--target_dir",
        "/runs/demo/stages/one/export",
    )
    assert rendered.environment["VERL_PLATFORM"] == "cpu"
