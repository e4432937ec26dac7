"""The steps of a stage whose overlong rows are cut, left out, or an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.recipe.schema import Recipe
from pipelines.run.plan import PROMPTS, Machine, Plan, make_plan
from tests.pipelines.trainers.verl.stages import rl_stage, sft_stage

MACHINE = Machine(
    platform="cpu",
    orchestrator=Path("/venv/bin/python"),
    pythons={"llamafactory": Path("/l/bin/python"), "verl": Path("/v/bin/python")},
    sources={"llamafactory": Path("/l/source"), "verl": Path("/v/source")},
)
DATA: dict[str, Any] = {"train": {"converter": "any", "source": "/rows"}, "validation": {"fraction": 0.1}}


def plan(*stages: dict[str, Any]) -> Plan:
    recipe = Recipe.model_validate({"name": "over", "model": "/model", "stages": list(stages)})
    return make_plan(recipe, MACHINE, Path("/runs/over"))


def sft(trainer: str, **data: Any) -> dict[str, Any]:
    return sft_stage(trainer=trainer, name="s", data=DATA | data, validate_every=2).model_dump(exclude_unset=True)


def rl(**data: Any) -> dict[str, Any]:
    return rl_stage(name="s", data=DATA | data).model_dump(exclude_unset=True)


def counted(made: Plan) -> dict[str, Any]:
    stage: dict[str, Any] = json.loads(made.step(PROMPTS).launch.files["prompts.json"])["stages"][0]
    return stage


@pytest.mark.parametrize(("stage", "usual"), [(sft("verl"), "cut"), (sft("llamafactory"), "cut"), (rl(), "leave_out")])
def test_the_default_changes_no_command(stage: dict[str, Any], usual: str) -> None:
    """Stages that an earlier version finished stay finished."""
    made = plan(stage)
    assert made.steps == plan(stage | {"data": DATA | {"overlong": usual}}).steps
    assert not {"overlong", "fitting"} & counted(made).keys()


@pytest.mark.parametrize("trainer", ["verl", "llamafactory"])
def test_conversations_are_left_out_before_the_training(trainer: str) -> None:
    made = plan(sft(trainer, overlong="leave_out"))
    fitting = made.paths("s").fitting
    assert counted(made)["fitting"] == str(fitting)
    assert fitting in made.step(PROMPTS).outputs
    train = made.step("s/train")
    assert train.inputs["train.parquet"] == str(fitting / "train.parquet")
    settings = yaml.safe_load(train.launch.files["train.yaml"])
    read = settings["data"]["train_files"] if trainer == "verl" else f"{settings['dataset_dir']}/train.parquet"
    assert read == str(fitting / "train.parquet")


@pytest.mark.parametrize("stage", [sft("verl", overlong="error"), rl(overlong="error"), rl(overlong="cut")])
def test_other_outcomes_read_all_rows(stage: dict[str, Any]) -> None:
    made = plan(stage)
    assert counted(made)["overlong"] == stage["data"]["overlong"]
    assert "fitting" not in counted(made)
    assert made.step("s/train").inputs["train.parquet"] == str(made.paths("s").data / "train.parquet")


def test_verl_filters_prompts_that_are_not_cut() -> None:
    kept = {}
    for outcome in ("cut", "leave_out", "error"):
        settings = yaml.safe_load(plan(rl(overlong=outcome)).step("s/train").launch.files["train.yaml"])
        kept[outcome] = settings["data"]["filter_overlong_prompts"]
    assert kept == {"cut": False, "leave_out": True, "error": True}


def test_verls_own_key_counts_as_cutting() -> None:
    stage = rl_stage(verl={"data": {"filter_overlong_prompts": False}})
    assert stage.overlong == "cut"
    with pytest.raises(ValueError, match="say the same: remove the latter"):
        rl_stage(verl={"data": {"filter_overlong_prompts": True}}, data=DATA | {"overlong": "cut"})
