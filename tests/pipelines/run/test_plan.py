"""Recipe -> steps: every shipped recipe, on both platforms, compared with what a person has read and found right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.environments.pins import pin
from pipelines.recipe.deepspeed import FILES
from pipelines.recipe.loading import load
from pipelines.run import plan_text
from pipelines.run.plan import Machine, Plan, initial_model, make_plan
from pipelines.trainers.base import Platform
from rewards.builtin.interpreter_tool import NAME, SCHEMA
from tests import ROOT

RECIPES = sorted(path.name for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables by which recipes are pointed at a person's own copies."""
    monkeypatch.setenv("CRUXEVAL", "/data/cruxeval.jsonl")
    monkeypatch.setenv("LEETCODE", "/data/leetcode.jsonl.gz")


def plan_of(recipe: str, platform: Platform, *sets: str) -> Plan:
    """The plan of a shipped recipe on a machine that is the same everywhere."""
    machine = Machine(
        platform=platform,
        orchestrator=Path("/orchestrator/bin/python"),
        pythons={name: Path(f"/environments/{name}/bin/python") for name in ("llamafactory", "verl")},
        sources={name: Path(f"/checkouts/{name}") for name in ("llamafactory", "verl")},
    )
    return make_plan(load(ROOT / "recipes" / recipe, sets).recipe, machine, Path("/runs") / recipe.removesuffix(".yaml"))


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_shipped_recipes(recipe: str, platform: Platform, golden: Callable[[str, str], None]) -> None:
    plan = plan_of(recipe, platform)
    reasons = {step.name: "not done yet" for step in plan.steps}
    text = plan_text.render_plan(plan, list(plan.steps), dict(reasons), problems=[])
    golden(f"plans/{recipe.removesuffix('.yaml')}.{platform}.txt", text.replace(str(ROOT), "<project>") + "\n")


def test_the_same_recipe_gives_the_same_plan() -> None:
    assert plan_of("smoke.yaml", "cpu") == plan_of("smoke.yaml", "cpu")


def test_each_stage_starts_from_the_one_before_it() -> None:
    plan = plan_of("smoke.yaml", "cpu")
    models = [initial_model(plan.recipe, plan.directory, stage) for stage in plan.recipe.stages]
    assert models == ["/runs/smoke/model", "/runs/smoke/stages/sft/model", "/runs/smoke/stages/stage-one/model"]


def test_init_from_names_a_stage_a_folder_or_a_hub_name() -> None:
    for said, meant in [
        ("sft", "/runs/smoke/stages/sft/model"),
        ("/models/mine", "/models/mine"),
        ("Qwen/Qwen2.5-Coder-0.5B-Instruct", "Qwen/Qwen2.5-Coder-0.5B-Instruct"),
    ]:
        plan = plan_of("smoke.yaml", "cpu", f"stages.stage-two.init_from={said}")
        assert initial_model(plan.recipe, plan.directory, plan.recipe.stages[2]) == meant


def test_lora_is_merged_before_it_is_handed_on() -> None:
    plan = plan_of("smoke.yaml", "cpu", "stages.sft.lora={rank: 4}")
    names = [step.name for step in plan.steps if step.stage == "sft"]
    assert names == ["sft/prepare", "sft/train", "sft/export", "sft/handover"]
    settings = json.loads(plan.step("sft/handover").launch.files["handover.json"])
    assert settings["exported"] == "/runs/smoke/stages/sft/export"
    assert "finetuning_type: lora" in plan.step("sft/train").launch.files["train.yaml"]
    assert "adapter_name_or_path: /runs/smoke/stages/sft/checkpoint" in plan.step("sft/export").launch.files["export.yaml"]


def test_deepspeed_by_name_is_the_checkouts_file_and_nothing_on_a_cpu() -> None:
    name = "stages.sft.llamafactory.deepspeed=zero3"
    on_cuda = plan_of("smoke.yaml", "cuda", name).step("sft/train").launch.files["train.yaml"]
    assert "deepspeed: /checkouts/llamafactory/examples/deepspeed/ds_z3_config.json" in on_cuda
    assert "deepspeed" not in plan_of("smoke.yaml", "cpu", name).step("sft/train").launch.files["train.yaml"]


@pytest.mark.parametrize("name", FILES)
def test_deepspeeds_files_are_in_the_pinned_checkout(name: str) -> None:
    examples = pin("llamafactory").checkout / "examples/deepspeed"
    if not examples.is_dir():
        pytest.skip("LLaMA-Factory's checkout is not here; `pipeline env sync llamafactory` fetches it")
    assert json.loads((examples / FILES[name]).read_text())["zero_optimization"]["stage"] == int(name[4])


def test_a_converter_of_ones_own_is_an_input_of_the_preparation() -> None:
    source = "{converter: mine, file: /own/mine.py, source: /own/rows.jsonl}"
    step = plan_of("smoke.yaml", "cpu", f"stages.sft.data.train={source}").step("sft/prepare")
    assert step.inputs == {"source /own/rows.jsonl": "/own/rows.jsonl", "converter file /own/mine.py": "/own/mine.py"}
    assert json.loads(step.launch.files["prepare.json"])["train"][0]["file"] == "/own/mine.py"


def test_where_programs_run_is_told_to_prepare_and_does_not_prepare_anew() -> None:
    here = plan_of("smoke.yaml", "cpu").step("stage-one/prepare").launch
    there = plan_of("smoke.yaml", "cpu", "sandbox.isolation=weak", "sandbox.workers=2").step("stage-one/prepare").launch
    assert json.loads(there.files["prepare.json"])["sandbox"] == {"isolation": "weak", "workers": 2}
    assert {**there.files, **there.cache_key_files} == {**here.files, **here.cache_key_files}


def test_prompts_are_counted_before_anything_is_trained_and_with_the_first_models_tokenizer() -> None:
    plan = plan_of("smoke.yaml", "cpu", "stages.stage-two.init_from=/models/mine", "stages.stage-one.data.max_overlong=0.1")
    names = [step.name for step in plan.steps]
    assert names.index("model") + 1 == names.index("prompts") == names.index("sft/train") - 1
    step = plan.step("prompts")
    told = [(each["model"], each["taught"], each["limit"]) for each in json.loads(step.launch.files["prompts.json"])["stages"]]
    assert told == [("/runs/smoke/model", False, 512), ("/runs/smoke/model", True, 320), ("/models/mine", False, 320)]
    assert json.loads(step.launch.files["prompts.json"])["stages"][1]["max_overlong"] == 0.1
    assert {"/models/mine", "/runs/smoke/model", "/runs/smoke/stages/stage-two/data/train.parquet"} <= {*step.inputs.values()}


def test_prompts_of_a_stage_with_the_tool_are_counted_with_its_schema() -> None:
    step = plan_of("smoke.yaml", "cpu", "stages.stage-two.tool={name: python_interpreter}").step("prompts")
    told = [each.get("tools") for each in json.loads(step.launch.files["prompts.json"])["stages"]]
    assert told == [None, None, {NAME: SCHEMA}]
