"""Resuming, progress and result of verl's SFT trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import InputError, StepError
from pipelines.trainers.base import StagePaths
from pipelines.trainers.verl.checkpoints.rotation import mark_and_rotate_sft
from pipelines.trainers.verl.rendering import metrics_folder
from pipelines.trainers.verl.sft import trainer
from tests.pipelines.trainers.verl.stages import context, sft_stage

BEST = sft_stage(save_every=2, validate_every=2, keep_best=True)


@pytest.fixture
def paths(tmp_path: Path) -> StagePaths:
    """Return the paths of a stage with 13 training rows, 6 per step, and one validation row."""
    made = StagePaths(tmp_path)
    for folder in (made.data, made.step("train"), metrics_folder(made)):
        folder.mkdir(parents=True)
    for name, rows in (("train", 13), ("validation", 1)):
        pq.write_table(pa.table({"row": list(range(rows))}), made.data / f"{name}.parquet")
    (made.step("train") / "train.yaml").write_text("data: {train_batch_size: 6}\n")
    return made


def save(paths: StagePaths, step: int, **marker: Any) -> Path:
    """Write a checkpoint; with `complete=False` without its marker."""
    folder = paths.checkpoints / f"global_step_{step}"
    (folder / "huggingface").mkdir(parents=True)
    if marker.pop("complete", True):
        (folder / "progress.json").write_text(json.dumps({"step": step} | marker))
    return folder


def log(paths: StagePaths, attempt: int, *rows: dict[str, Any]) -> None:
    lines = [json.dumps({"step": row.pop("step"), "data": row}) + "\n" for row in map(dict, rows)]
    (metrics_folder(paths) / f"{attempt}-1.jsonl").write_text("".join(lines))


def test_too_few_rows_for_a_step(paths: StagePaths) -> None:
    assert trainer.before_attempt(sft_stage(), paths) == 0
    (paths.step("train") / "train.yaml").write_text("data: {train_batch_size: 14}\n")
    with pytest.raises(InputError, match=r"stage one: 13 train rows in .*, at least 14 are needed"):
        trainer.before_attempt(sft_stage(), paths)


def test_missing_validation_rows(paths: StagePaths) -> None:
    pq.write_table(pa.table({"row": pa.array([], pa.int64())}), paths.data / "validation.parquet")
    assert trainer.before_attempt(sft_stage(), paths) == 0
    with pytest.raises(InputError, match=r"stage one: 0 validation rows in .*, at least 1 are needed"):
        trainer.before_attempt(sft_stage(validate_every=2), paths)


def test_checkpoint_without_marker_is_deleted(paths: StagePaths) -> None:
    save(paths, 2)
    half = save(paths, 4, complete=False)
    tracker = paths.checkpoints / "latest_checkpointed_iteration.txt"
    tracker.write_text("4")  # rank 0 was faster than other ranks
    assert trainer.before_attempt(sft_stage(), paths) == 2
    assert not half.exists()
    assert tracker.read_text() == "2"


def test_result_is_the_last_checkpoint_with_a_note_on_dropped_rows(paths: StagePaths) -> None:
    save(paths, 2)
    last = save(paths, 4)
    found = trainer.result(sft_stage(), paths)
    assert (found.checkpoint, found.step) == (last, 4)
    assert found.notes == ("an epoch has 2 steps of 6 rows: 1 of 13 rows are dropped, different ones each epoch",)


def test_result_is_the_best_checkpoint(paths: StagePaths) -> None:
    best = save(paths, 2, validation_loss=0.25)
    save(paths, 4, validation_loss=0.5)
    found = trainer.result(BEST, paths)
    assert (found.checkpoint, found.step) == (best, 4)
    assert found.notes[0] == "step 2 is exported: lowest validation loss 0.25; last step 4: 0.5"


def test_best_needs_the_last_validation_loss(paths: StagePaths) -> None:
    save(paths, 2, validation_loss=0.25)
    save(paths, 4)
    with pytest.raises(StepError, match="step 4 was saved without a validation loss"):
        trainer.result(BEST, paths)


@pytest.mark.parametrize(("length", "expected"), [({}, 4), ({"steps": ..., "epochs": 3.0}, 6)])
def test_training_that_ended_early_fails(paths: StagePaths, length: dict[str, Any], expected: int) -> None:
    with pytest.raises(StepError, match="without a complete checkpoint"):
        trainer.result(sft_stage(**length), paths)
    save(paths, 3)
    with pytest.raises(StepError, match=f"verl ended at step 3 of {expected}"):
        trainer.result(sft_stage(**length), paths)
    save(paths, expected)
    assert trainer.result(sft_stage(**length), paths).step == expected


def test_progress_merges_attempts(paths: StagePaths) -> None:
    assert trainer.progress(sft_stage(), paths) is None
    log(paths, 1, {"step": 1, "train/loss": 3.0}, {"step": 2, "train/loss": 2.0}, {"step": 3, "train/loss": 9.0})
    log(paths, 2, {"step": 3, "train/loss": 1.0, "train/lr": 0.1}, {"step": 3, "val/loss": 1.5})
    found = trainer.progress(sft_stage(steps=..., epochs=3.0), paths)
    assert found is not None
    assert (found.step, found.total, found.metrics) == (3, 6, {"loss": 1.0, "eval_loss": 1.5, "lr": 0.1})
    assert [row["train/loss"] for row in trainer.metrics(sft_stage(), paths)] == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(("best", "kept"), [(True, ["global_step_2", "global_step_8"]), (False, ["global_step_8"])])
def test_best_is_not_deleted(paths: StagePaths, monkeypatch: pytest.MonkeyPatch, best: bool, kept: list[str]) -> None:
    if best:
        monkeypatch.setenv("PIPELINE_KEEP_BEST", "1")
    losses = {2: 0.25, 4: 0.5, 8: 0.75}
    log(paths, 1, *({"step": step, "val/loss": loss} for step, loss in losses.items()))
    monkeypatch.setenv("PIPELINE_METRICS_FOLDER", str(metrics_folder(paths)))
    for step in losses:
        mark_and_rotate_sft(save(paths, step, complete=False), step, keep=1)
    assert sorted(folder.name for folder in paths.checkpoints.iterdir()) == kept
    mark = json.loads((paths.checkpoints / "global_step_8/progress.json").read_text())
    assert mark == {"step": 8, "validation_loss": 0.75}


def test_export_merges_adapters_after_the_shards() -> None:
    whole, adapters = sft_stage(), sft_stage(lora={})
    first, second = (trainer.export(stage, context(stage)).argv for stage in (whole, adapters))
    assert first[1:4] == ("-m", "verl.model_merger", "merge")
    assert second[1:4] == ("-m", "pipelines.trainers.verl.checkpoints.merge_adapters", "merge")
    assert (
        first[4:]
        == second[4:]
        == (
            *("--backend", "fsdp", "--local_dir", "/runs/demo/stages/one/checkpoint"),
            *("--target_dir", "/runs/demo/stages/one/export"),
        )
    )
