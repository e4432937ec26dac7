"""`revision` of models and data: where it may be set, and what a plan makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.problems import RecipeError
from pipelines.run.plan import Plan
from pipelines.smoke.shrinking import shrink
from tests.pipelines.run import test_plan


def plan_of(*sets: str) -> Plan:
    return test_plan.plan_of("execverify.yaml", "cpu", *sets)


def test_a_model_at_a_revision_is_downloaded_first() -> None:
    plain, plan = plan_of(), plan_of("revision=v1")
    names = [step.name for step in plan.steps]
    assert [name for name in names if name not in [step.name for step in plain.steps]] == ["model"]
    assert names.index("model") < names.index("prompts")
    step = plan.step("model")
    config = json.loads(step.launch.files["fetch.json"])
    assert config == {"name": "Qwen/Qwen2.5-Coder-7B-Instruct", "revision": "v1", "output": "/runs/execverify/model"}
    assert plan.initial_model(plan.recipe.stages[0]) == "/runs/execverify/model"
    assert "model_name_or_path: /runs/execverify/model" in plan.step("sft/train").launch.files["train.yaml"]


def test_a_stage_may_start_from_a_revision() -> None:
    plan = plan_of("stages.stage-two.init_from=owner/other", "stages.stage-two.revision=abc")
    model = "/runs/execverify/stages/stage-two/fetch/model"
    assert [str(path) for path in plan.step("stage-two/fetch").outputs] == [model]
    assert plan.initial_model(plan.recipe.stages[2]) == model
    assert plan.recipe.base_revision(plan.recipe.stages[2]) == "abc"
    assert "stage-two/fetch" not in [step.name for step in plan.select(None, "sft")]
    assert "stage-two/fetch" in [step.name for step in plan.select("stage-two", None)]


def test_rows_without_a_revision_stay_prepared() -> None:
    config = plan_of().step("stage-two/prepare").launch.files["prepare.json"]
    assert '"revision"' not in config
    given = plan_of("stages.stage-two.data.train.revision=v2").step("stage-two/prepare").launch.files["prepare.json"]
    assert json.loads(given)["train"][0]["revision"] == "v2"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stages.sft.revision=v1", "stage sft: revision v1 is for a hub name in `init_from`"),
        ("stages.stage-one.revision=v1", "stage stage-one: revision v1 is for a hub name in `init_from`"),
        ("stages.sft.data.train.revision=v1", "revision v1 is for hub names; the source is a path"),
    ],
)
def test_a_revision_needs_a_hub_name(setting: str, message: str) -> None:
    with pytest.raises(RecipeError) as refused:
        load(Path("execverify.yaml"), [setting])
    assert message in str(refused.value)


def test_a_tiny_model_has_no_revision() -> None:
    with pytest.raises(RecipeError, match="revision v1 is for a hub name in `model`"):
        load(Path("smoke.yaml"), ["revision=v1"])


def test_a_smoke_has_no_revisions() -> None:
    given = ["revision=v1", "stages.stage-two.init_from=owner/other", "stages.stage-two.revision=abc"]
    recipe = shrink(load(Path("execverify.yaml"), [*given, "stages.stage-two.data.train.revision=v2"]))[0].recipe
    assert (recipe.revision, recipe.stages[2].revision) == (None, None)
    assert all(source.revision is None for stage in recipe.stages for source in stage.sources)
