"""Resuming, progress and result of LLaMA-Factory: incomplete checkpoints, appended logs, trainings that failed silently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import StepError
from pipelines.recipe.schema import SftStage
from pipelines.trainers.base import StagePaths
from pipelines.trainers.llamafactory import trainer

NO_TENSORS = (2).to_bytes(8, "little") + b"{}"


def stage(**fields: Any) -> SftStage:
    source = {"converter": "sharegpt", "source": "rows.jsonl"}
    given = {"name": "sft", "kind": "sft", "steps": 4, "learning_rate": 1e-3, "data": {"train": source, "validation": source}}
    return SftStage.model_validate(given | fields)


@pytest.fixture
def paths(tmp_path: Path) -> StagePaths:
    """Return the paths of a successful training of four steps on twelve rows."""
    made = StagePaths(tmp_path)
    for folder in (made.checkpoints, made.data, made.step("train")):
        folder.mkdir(parents=True)
    for step in (2, 4):
        save(made, step)
    history = [{"step": step, "loss": 4.0 / step} for step in (1, 2, 3, 4)]
    write(made.checkpoints / "trainer_state.json", {"global_step": 4, "max_steps": 4, "log_history": history})
    log(made, *range(1, 5))
    write(made.data / "summary.json", {"rows": {"train": 12, "validation": 1}})
    (made.step("train") / "log").write_text(
        "***** Running training *****\n  Num examples = 12\n***** Running Evaluation *****\n  Num examples = 1\n"
    )
    return made


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def save(paths: StagePaths, step: int) -> None:
    folder = paths.checkpoints / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(NO_TENSORS)
    write(folder / "trainer_state.json", {"global_step": step})


def log(paths: StagePaths, *steps: int) -> None:
    with (paths.checkpoints / "trainer_log.jsonl").open("a") as sink:
        for step in steps:
            sink.write(json.dumps({"current_steps": step, "total_steps": 4, "loss": 4.0 / step, "lr": 0.1, "epoch": 1}) + "\n")


def test_result_of_a_successful_training(paths: StagePaths) -> None:
    assert trainer.result(stage(), paths).step == 4
    assert trainer.result(stage(steps=None, epochs=1), paths).checkpoint == paths.checkpoints


def test_checkpoint_without_its_last_file_is_deleted(paths: StagePaths) -> None:
    (paths.checkpoints / "checkpoint-4" / "trainer_state.json").unlink()
    assert trainer.before_attempt(stage(), paths) == 2
    assert not (paths.checkpoints / "checkpoint-4").exists()


def test_checkpoint_with_truncated_last_file_is_deleted(paths: StagePaths) -> None:
    (paths.checkpoints / "checkpoint-4" / "trainer_state.json").write_text('{"global_step": 4, "log_')
    assert trainer.before_attempt(stage(), paths) == 2


def test_training_without_complete_checkpoint_starts_from_scratch(paths: StagePaths) -> None:
    for step in (2, 4):
        (paths.checkpoints / f"checkpoint-{step}" / "trainer_state.json").unlink()
    (paths.checkpoints / "model.safetensors").touch()  # LLaMA-Factory would reject the folder with it
    assert trainer.before_attempt(stage(), paths) == 0
    assert not paths.checkpoints.exists()
    assert trainer.before_attempt(stage(), paths) == 0


def test_steps_trained_twice_count_once(paths: StagePaths) -> None:
    with (paths.checkpoints / "trainer_log.jsonl").open("a") as sink:
        sink.write(json.dumps({"current_steps": 3, "total_steps": 4, "loss": 0.5}) + "\n")
        sink.write(json.dumps({"current_steps": 3, "total_steps": 4, "eval_loss": 0.7}) + "\n")
        sink.write('{"current_steps": 4, "lo')  # killed while writing
    rows = trainer.metrics(stage(), paths)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert (rows[2]["loss"], rows[2]["eval_loss"]) == (0.5, 0.7)


def test_progress_is_the_newest_step(paths: StagePaths) -> None:
    progress = trainer.progress(stage(), paths)
    assert progress is not None
    assert (progress.step, progress.total, next(iter(progress.metrics))) == (4, 4, "loss")
    (paths.checkpoints / "trainer_log.jsonl").unlink()
    assert trainer.progress(stage(), paths) is None


def test_training_that_ended_early_fails(paths: StagePaths) -> None:
    with pytest.raises(StepError, match="ended at step 4 of 9"):
        trainer.result(stage(steps=9), paths)
    (paths.checkpoints / "trainer_state.json").unlink()
    with pytest.raises(StepError, match="training did not finish"):
        trainer.result(stage(), paths)


def test_training_without_labels_fails(paths: StagePaths) -> None:
    history = [{"step": step, "loss": 0.0} for step in (1, 2, 3, 4)]
    write(paths.checkpoints / "trainer_state.json", {"global_step": 4, "max_steps": 4, "log_history": history})
    with pytest.raises(StepError, match=r"trained on no tokens.*is max_tokens: 2048 shorter than the prompts"):
        trainer.result(stage(), paths)


def test_log_without_row_count_is_noted(paths: StagePaths) -> None:
    assert trainer.result(stage(), paths).notes == ()
    (paths.step("train") / "log").write_text("")
    (note,) = trainer.result(stage(), paths).notes
    assert "not known" in note


def test_training_that_skipped_rows_fails(paths: StagePaths) -> None:
    write(paths.data / "summary.json", {"rows": {"train": 40}})
    with pytest.raises(StepError, match="trained on 12 of 40 rows"):
        trainer.result(stage(), paths)
    (note,) = trainer.result(stage(packing=True), paths).notes
    assert note == "40 rows were packed into 12 sequences of 2048 tokens"


def test_best_checkpoint_is_noted(paths: StagePaths) -> None:
    best = stage(save_every=2, validate_every=2, keep_best=True)
    losses = [{"step": 2, "eval_loss": 0.5}, {"step": 4, "eval_loss": 0.75}]
    state = {"global_step": 4, "max_steps": 4, "log_history": [{"step": 4, "loss": 1.0}, *losses]}
    chosen = {"best_global_step": 2, "best_model_checkpoint": "/run/checkpoints/checkpoint-2"}
    write(paths.checkpoints / "trainer_state.json", state | chosen)
    note = "step 2 is exported: lowest validation loss 0.5; last step 4: 0.75"
    assert trainer.result(best, paths).notes == (note,)
    write(paths.checkpoints / "trainer_state.json", state | chosen | {"best_model_checkpoint": None})
    with pytest.raises(StepError, match="saved no checkpoint at step 2, the step with the lowest validation loss"):
        trainer.result(best, paths)
