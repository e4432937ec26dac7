"""Two runs: values of the recipes that differ, metrics of the stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.records.comparison import Values, compare_recipes, compare_stages
from pipelines.records.runs import Run, open_run
from tests.pipelines.records.making import make_run, write_training


def with_recipe(directory: Path, *sets: str) -> Run:
    make_run(directory)
    (directory / "recipe.yaml").write_text(load(Path("smoke.yaml"), sets).text())
    return open_run(directory)


def changes(first: Run, second: Run) -> dict[str, tuple[object, object]]:
    return {each.key: (each.first, each.second) for each in compare_recipes(first, second)}


def test_typed_and_upstream_keys(tmp_path: Path) -> None:
    first = with_recipe(tmp_path / "one")
    second = with_recipe(
        tmp_path / "two",
        "stages.sft.learning_rate=1e-5",
        "stages.stage-one.kl.coefficient=0.01",
        "stages.stage-one.verl.actor_rollout_ref.actor.grad_clip=0.5",
    )
    assert changes(first, second) == {
        "stages.sft.learning_rate": (0.005, 1e-5),
        "stages.stage-one.kl.coefficient": (None, 0.01),
        "stages.stage-one.verl.actor_rollout_ref.actor.grad_clip": (None, 0.5),
    }


def test_a_key_that_is_set_to_its_default_does_not_differ(tmp_path: Path) -> None:
    first = with_recipe(tmp_path / "one")
    assert changes(first, with_recipe(tmp_path / "two", "stages.sft.packing=false", "seed=17")) == {}
    assert changes(first, with_recipe(tmp_path / "three", "stages.sft.packing=true")) == {
        "stages.sft.packing": (False, True),
    }


def test_a_recipe_that_this_version_cannot_read_is_compared_as_it_is_written(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "one"), make_run(tmp_path / "two")
    (second.directory / "recipe.yaml").write_text("name: one\nstages:\n- {name: sft, kind: sft, steps: 9, of_later: 1}\n")
    found = changes(first, second)
    assert found["stages.sft.steps"] == (450, 9) and found["stages.sft.of_later"] == (None, 1)


@pytest.mark.parametrize("text", ["", "stages: [", "- 1"])
def test_a_damaged_recipe_has_no_values(tmp_path: Path, text: str) -> None:
    first, second = make_run(tmp_path / "one"), make_run(tmp_path / "two")
    (second.directory / "recipe.yaml").write_text(text)
    assert changes(first, second)["name"] == ("one", None)


def test_metrics_of_stages(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "one"), make_run(tmp_path / "two")
    rows = [
        {"step": 0, "val-core/gsm8k/reward/mean@1": 0.5},
        {"step": 1, "critic/score/mean": 0.9, "val-core/gsm8k/reward/mean@1": 0.2},
        {"step": 2, "critic/score/mean": 0.3, "actor/entropy": 1.0},
        {"step": 3, "critic/score/mean": float("nan")},
    ]
    write_training(second.directory, "rl", rows)
    with (second.directory / "stages/rl/metrics.jsonl").open("a") as torn:
        torn.write('{"step": 4, "cri')
    sft, rl = compare_stages(first, second)
    assert [each.name for each in sft.metrics] == ["loss"]
    assert sft.metrics[0].best == "lowest" and sft.metrics[0].first == sft.metrics[0].second
    found = {each.name: each for each in rl.metrics}
    assert list(found) == ["critic/score/mean", "val-core/gsm8k/reward/mean@1"], "the headline first, no entropy"
    assert found["critic/score/mean"].first == Values(last=0.8, last_step=4, best=0.8, best_step=4)
    assert found["critic/score/mean"].second == Values(last=0.3, last_step=2, best=0.9, best_step=1)
    assert found["val-core/gsm8k/reward/mean@1"].second == Values(last=0.2, last_step=1, best=0.5, best_step=0)
