"""Choosing the best checkpoint of RL."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import StepError
from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import StagePaths
from pipelines.trainers.verl.checkpoints.best import LOSS, find_best, find_criterion, find_lowest_loss
from pipelines.trainers.verl.checkpoints.validations import save_validation
from pipelines.trainers.verl.rendering import metrics_folder, validations_folder
from pipelines.trainers.verl.rl import trainer
from tests import ROOT
from tests.pipelines.trainers.verl.checkpoints.test_resume import save
from tests.pipelines.trainers.verl.stages import rl_stage

SCORE, ACCURACY, MEASURED = (
    f"val-{part}/mean@1" for part in ("core/apps/reward", "aux/apps/accuracy", "aux/apps/has_accuracy")
)
BY_SCORE = find_criterion([], None)


def best_stage(**changes: Any) -> RlStage:
    return rl_stage(keep_best=True, save_every=1, validate_every=1, **changes)


def log(paths: StagePaths, attempt: int, *steps: tuple[int, dict[str, float]], trained: bool = True) -> None:
    """Write an attempt's metrics as verl does; if not trained, the first line is a validation without a training step."""
    metrics_folder(paths).mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (step, data) in enumerate(steps):
        marked = data | {"training/global_step": step} if trained or number else data
        lines.append(json.dumps({"step": step, "data": marked}) + "\n")
    (metrics_folder(paths) / f"{attempt}-1.jsonl").write_text("".join(lines))


@pytest.mark.parametrize(
    ("row", "metric", "score"),
    [
        ({SCORE: 0.25, "critic/score/mean": 1.0}, None, 0.25),
        ({SCORE: 0.25, "val-core/bootcamp/Game24/reward/mean@1": 0.75}, None, 0.5),
        # verl's graders return `acc`, which verl then uses as the core metric.
        ({"val-core/gsm8k/acc/mean@1": 1.0, "val-aux/gsm8k/reward/mean@1": 0.5}, None, 0.5),
        # In some rows one of four answers failed.
        (
            {"val-core/apps/reward/mean@4": 0.25, "val-aux/apps/reward/mean@3": 1.0, "val-core/apps/reward/best@4/mean": 2.0},
            None,
            0.25,
        ),
        ({SCORE: 0.25, "val-aux/apps/accuracy/mean@1": 0.75}, "val-aux/apps/accuracy/mean@1", 0.75),
        ({"val-aux/a/accuracy/mean@1": 0.5, "val-aux/b/accuracy/mean@1": 1.0, SCORE: 0.0}, "val-*/accuracy/mean@1", 0.75),
        ({SCORE: 0.25}, "val-core/apps/reward/mean@2", None),
        ({"val-core/app+/reward/mean@1": 1.0}, "val-core/app+/reward/mean@1", 1.0),
        ({"critic/score/mean": 1.0}, None, None),
    ],
)
def test_validation_score(row: dict[str, float], metric: str | None, score: float | None) -> None:
    assert find_criterion([row], metric).score(row) == score


@pytest.mark.parametrize(
    ("changes", "name", "best"),
    [
        ({}, "validation accuracy", (2, 0.5)),
        # One reward of one row returned no accuracy.
        ({2: {MEASURED: 0.75}}, "validation score", (1, 1.5)),
        ({2: {MEASURED: math.nan}}, "validation score", (1, 1.5)),
        # A source whose rewards return none.
        ({2: {"val-core/gsm8k/reward/mean@1": 1.0}}, "validation score", (1, 1.5)),
        ({2: {"val-core/gsm8k/reward/mean@1": 1.0, "val-aux/gsm8k/has_accuracy/mean@1": 0.0}}, "validation score", (1, 1.5)),
        ({3: {"critic/score/mean": 1.0}}, "validation accuracy", (2, 0.5)),
    ],
)
def test_accuracy_decides_if_every_reward_returns_one(changes: dict[int, dict[str, float]], name: str, best: Any) -> None:
    rows = {1: {SCORE: 1.5, ACCURACY: 0.25, MEASURED: 1.0}, 2: {SCORE: 0.5, ACCURACY: 0.5, MEASURED: 1.0}, 3: {}}
    steps = [{"step": step, **row, **changes.get(step, {})} for step, row in rows.items()]
    criterion = find_criterion(steps, None)
    assert (criterion.name, find_best(steps, {1, 2}, criterion)) == (name, best)


def test_accuracy_of_sources_has_equal_weights() -> None:
    row = {
        f"val-aux/{source}/{name}/mean@4": value for source in "ab" for name, value in (("accuracy", 0.5), ("has_accuracy", 1))
    }
    row |= {"val-aux/b/accuracy/mean@4": 1.0, "val-core/a/reward/mean@4": 3.0, "val-core/b/reward/mean@4": 3.0}
    assert find_criterion([row], None).score(row) == 0.75


def test_earliest_wins_on_a_tie() -> None:
    rows = [{"step": step, SCORE: score} for step, score in enumerate((0.9, 0.2, 0.5, 0.5, 0.4))]
    assert find_best(rows, {1, 2, 3, 4}, BY_SCORE) == (2, 0.5)
    # The validation before training has no checkpoint; others have been deleted.
    assert find_best(rows, {3, 4}, BY_SCORE) == (3, 0.5)
    assert find_best(rows, {7}, BY_SCORE) is None
    assert find_best([], {1}, BY_SCORE) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bad_step", [1, 2, 3])
def test_score_that_is_not_finite_is_never_the_best(bad: float, bad_step: int) -> None:
    values = {step: bad if step == bad_step else 0.5 for step in (1, 2, 3)}
    earliest = min(values.keys() - {bad_step})
    assert find_best([{"step": step, SCORE: value} for step, value in values.items()], values, BY_SCORE) == (earliest, 0.5)
    assert find_best([{"step": step, SCORE: value} for step, value in values.items()], {bad_step}, BY_SCORE) is None
    assert find_lowest_loss({step: {LOSS: value} for step, value in values.items()}) == earliest
    assert find_lowest_loss({1: {LOSS: bad}, 2: {}}) is None
    # One source or one match of a pattern is enough to make the mean unknown.
    two = {"step": 1, SCORE: bad, "val-core/gsm8k/reward/mean@1": 1.0}
    assert find_best([two, {"step": 2, SCORE: 0.1}], {1, 2}, BY_SCORE) == (2, 0.1)
    assert find_best([two, {"step": 2, SCORE: 0.1}], {1, 2}, find_criterion([], "val-core/*")) == (2, 0.1)


def test_result_with_scores_that_are_not_numbers(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    log(paths, 1, (1, {SCORE: math.nan}), (2, {SCORE: 0.5}), (3, {SCORE: 0.3}), (4, {SCORE: math.nan}))
    for step in (1, 2, 3, 4):
        save(paths, step)
    found = trainer.result(best_stage(), paths)
    assert found.checkpoint.name == "global_step_2"
    assert found.notes == ("step 2 is exported: best validation score 0.5; last step 4: unknown",)
    log(paths, 1, *((step, {SCORE: math.nan}) for step in (1, 2, 3, 4)))
    with pytest.raises(StepError, match=r"no checkpoint in .* was validated by validation score with a finite value"):
        trainer.result(best_stage(), paths)


def test_result_is_the_best_checkpoint(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    log(paths, 1, *enumerate({SCORE: score} for score in (0.9, 0.2, 0.5, 0.3, 0.4)), trained=False)
    for step in (2, 4):
        save(paths, step)
    found = trainer.result(best_stage(), paths)
    assert (found.checkpoint.name, found.step) == ("global_step_2", 4)
    assert found.notes == ("step 2 is exported: best validation score 0.5; last step 4: 0.4",)
    plain = trainer.result(rl_stage(), paths)
    assert (plain.checkpoint.name, plain.notes) == ("global_step_4", ())


def test_result_when_the_last_checkpoint_is_the_best(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    log(paths, 1, *((step, {SCORE: step / 10}) for step in range(1, 5)))
    save(paths, 4)
    found = trainer.result(best_stage(), paths)
    assert found.checkpoint.name == "global_step_4"
    assert found.notes == ("step 4 is exported: best validation score 0.4",)


def validate(paths: StagePaths, step: int, right: list[float]) -> dict[str, float]:
    """Save a validation of rows `0`, `1` …, shuffled as by verl, and return its metrics."""
    shuffled = sorted(enumerate(right), key=lambda each: each[0] * 7 % 11)
    values: dict[str, list[Any]] = {
        "accuracy": [each for _, each in shuffled],
        "reward": [0.1] * len(right),
        "pred": ["x"] * len(right),
    }
    prompts = [str(row) for row, _ in shuffled]
    save_validation(validations_folder(paths), step, ["apps"] * len(right), prompts, values)
    return {SCORE: 0.1, ACCURACY: sum(right) / len(right), MEASURED: 1.0}


def test_note_reports_interval_and_steps_that_may_be_as_good(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    right = {0: [0.0] * 80, 1: [1.0] * 40 + [0.0] * 40, 2: [1.0] * 41 + [0.0] * 39, 3: [0.0] * 40 + [1.0] * 38 + [0.0] * 2}
    right[4] = [1.0] * 42 + [0.0] * 38
    log(paths, 1, *((step, validate(paths, step, rows)) for step, rows in right.items()), trained=False)
    for step in (1, 2, 3, 4):
        save(paths, step)
    found = trainer.result(best_stage(), paths)
    assert found.notes == ("step 4 is exported: best validation accuracy 0.525 ± 0.11, not distinguishable from step 1, 2, 3",)
    # Step 3 is as accurate as step 1, but on other rows: the difference is less certain. With most rows equal, 5 decide.
    right[4] = [1.0] * 46 + [0.0] * 34
    log(paths, 1, *((step, validate(paths, step, rows)) for step, rows in right.items()), trained=False)
    found = trainer.result(best_stage(), paths)
    assert found.notes == ("step 4 is exported: best validation accuracy 0.575 ± 0.11, not distinguishable from step 3",)


def test_note_reports_ties_and_training_without_effect(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    steps = {step: [1.0, 0.0, 0.0, 1.0] for step in range(8)} | {7: [0.0, 1.0, 0.0, 0.0]}
    log(paths, 1, *((step, validate(paths, step, rows)) for step, rows in steps.items()), trained=False)
    save(paths, 7)
    save(paths, 1)
    (validations_folder(paths) / "1.json").unlink()
    assert trainer.result(best_stage(steps=7), paths).notes == (
        "step 1 is exported: best validation accuracy 0.5, the same as step 0 (before training), 2, 3 and 3 more; "
        "last step 7: 0.25 ± 0.49",
    )


def test_best_uses_earlier_attempts_but_not_their_lost_steps(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    # The first attempt was killed before the third step was saved; the second begins with a validation of step 2.
    log(paths, 1, (1, {SCORE: 0.8}), (2, {SCORE: 0.1}), (3, {SCORE: 0.9}))
    log(paths, 2, (2, {SCORE: 0.1}), (3, {SCORE: 0.3}), (4, {SCORE: 0.2}), trained=False)
    for step in (1, 3, 4):
        save(paths, step)
    assert trainer.result(best_stage(), paths).checkpoint.name == "global_step_1"


def test_training_that_ended_early_has_no_result(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    log(paths, 1, (1, {SCORE: 0.8}))
    save(paths, 1)
    with pytest.raises(StepError, match="verl ended at step 1 of 4"):
        trainer.result(best_stage(), paths)


def test_best_needs_a_validation(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    log(paths, 1, *((step, {"critic/score/mean": 0.5}) for step in range(1, 5)))
    save(paths, 4)
    with pytest.raises(StepError, match=r"no checkpoint in .* was validated by validation score"):
        trainer.result(best_stage(), paths)


def test_unknown_best_metric_is_reported_at_the_first_validation(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    stage = best_stage(best_metric="val-core/apps/reward/mean@2")
    assert trainer.progress(stage, paths) is None
    log(paths, 1, (0, {SCORE: 0.9, "val-aux/num_turns/mean": 2.0}), trained=False)
    with pytest.raises(StepError) as caught:
        trainer.progress(stage, paths)
    assert str(caught.value) == (
        "best_metric val-core/apps/reward/mean@2 is not one of verl's validation metrics: "
        "val-core/apps/reward/mean@1, val-aux/num_turns/mean; did you mean 'val-core/apps/reward/mean@1'?"
    )
    assert trainer.progress(best_stage(best_metric="val-core/*/reward/mean@1"), paths) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"best_metric": SCORE}, "best_metric requires `keep_best: true`"),
        (
            {"best_metric": "critic/score/mean", "keep_best": True, "save_every": 2, "validate_every": 1},
            "best_metric is 'critic/score/mean', expected a validation metric of verl",
        ),
    ],
)
def test_best_metric_is_validated(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rl_stage(**changes)


def test_recipe_of_docs_page_loads(tmp_path: Path) -> None:
    page = (ROOT / "docs/running.md").read_text(encoding="utf-8")
    block = page.partition("```yaml\n# best.yaml\n")[2].partition("```")[0]
    (tmp_path / "best.yaml").write_text(block, encoding="utf-8")
    stage = load(tmp_path / "best.yaml").recipe.stages[-1]
    assert stage.keep_best


def test_polling_does_not_parse_the_metrics_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = StagePaths(tmp_path)
    log(paths, 1, *((step, {"critic/score/mean": step / 100}) for step in range(1, 51)))
    assert trainer.progress(best_stage(), paths) is not None
    parse, parsed = json.loads, list[bytes]()

    def count(text: bytes) -> Any:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(json, "loads", count)
    with (metrics_folder(paths) / "1-1.jsonl").open("a") as file:
        file.write(json.dumps({"step": 51, "data": {"training/global_step": 51, "critic/score/mean": 0.5}}) + "\n")
    for _ in range(5):
        found = trainer.progress(best_stage(), paths)
        assert found is not None and (found.step, found.metrics) == (51, {"reward": 0.5})
    assert len(parsed) == 1
