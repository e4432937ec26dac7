"""Plans of recipes: the settings of every shipped recipe are compared with reviewed golden files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.environments.pins import pin
from pipelines.recipe.deepspeed import FILES
from pipelines.recipe.loading import load
from pipelines.run import plan_text
from pipelines.run.plan import Machine, Plan, Step, make_plan
from pipelines.shipped import THIRD_PARTY
from pipelines.trainers.base import Platform
from rewards.builtin.interpreter_tool import NAME, SCHEMA
from tests import ROOT

RECIPES = sorted(path.name for path in (ROOT / "recipes").glob("*.yaml"))
FOR_CPU = {name for name in RECIPES if name.startswith(("smoke", "learns"))}


@pytest.fixture(autouse=True)
def _sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables with which recipes find local copies of data sets."""
    monkeypatch.setenv("CRUXEVAL", "/data/cruxeval.jsonl")
    monkeypatch.setenv("LEETCODE", "/data/leetcode.jsonl.gz")


def plan_of(recipe: str, platform: Platform, *sets: str) -> Plan:
    """Return the plan of a shipped recipe on a fixed machine."""
    machine = Machine(
        platform=platform,
        orchestrator=Path("/orchestrator/bin/python"),
        pythons={name: Path(f"/environments/{name}/bin/python") for name in ("llamafactory", "verl")},
        sources={name: Path(f"/checkouts/{name}") for name in ("llamafactory", "verl")},
    )
    return make_plan(load(ROOT / "recipes" / recipe, sets).recipe, machine, Path("/runs") / recipe.removesuffix(".yaml"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_shipped_recipes(recipe: str, golden: Callable[[str, str], None]) -> None:
    plan = plan_of(recipe, "cpu" if recipe in FOR_CPU else "cuda")
    lines = [f"{number:>2} {step.name}: {step.title}" for number, step in enumerate(plan.steps, 1)]
    for step in plan.steps:
        if step.name.endswith("/train"):
            lines += ["", step.name, *(f"  {line}" for line in summarise(step))]
    golden(f"plans/{recipe.removesuffix('.yaml')}.txt", "\n".join(lines).replace(str(ROOT), "<project>") + "\n")


def summarise(step: Step) -> Iterator[str]:
    """Yield the command, the variables and the settings that differ from the upstream's defaults."""
    yield shlex.join(step.launch.argv)
    yield from (f"{name}={value}" for name, value in sorted(step.launch.environment.items()))
    keys = {"llamafactory": "llamafactory/keys.json", "sft": "verl/sft_keys.json", "rl": "verl/keys.json"}
    upstream = (
        "llamafactory" if step.trainer == "llamafactory" else "sft" if "sft_trainer" in " ".join(step.launch.argv) else "rl"
    )
    known = json.loads((THIRD_PARTY / keys[upstream]).read_text(encoding="utf-8"))["keys"]
    for key, value in flatten(yaml.safe_load(step.launch.files["train.yaml"])):
        if "default" not in known.get(key, {}) or known[key]["default"] != value:
            yield f"{key}: {json.dumps(value)}"


def flatten(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys with their values."""
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_plan_text() -> None:
    plan = plan_of("smoke.yaml", "cuda")
    reasons = dict.fromkeys([step.name for step in plan.steps], "not done yet") | {"sft/prepare": None}
    lines = "\n".join([*plan_text.render_steps(plan, plan.steps, reasons), *plan_text.render_commands(plan.steps)]).splitlines()
    assert lines[:6] == [
        "recipe    smoke",
        "platform  cuda, 1 GPU",
        "run       /runs/smoke",
        "",
        "  1  sft/prepare         skip: done before",
        "  2  stage-one/prepare   run: not done yet",
    ]
    start = lines.index("--- model: make a tiny qwen2 model")
    assert lines[start + 1 : start + 5] == [
        "cd /runs/smoke/make-model",
        "/environments/llamafactory/bin/python -m pipelines.models.tiny model.json",
        "",
        "# model.json",
    ]
    assert plan_text.render_problems(["recipe.yaml:3: wrong"], ["no GPU"]) == [
        "",
        "`pipeline run` would refuse this recipe:",
        "  recipe.yaml:3: wrong",
        "",
        "`pipeline run` would refuse this recipe on this machine:",
        "  no GPU",
    ]


def test_the_same_recipe_gives_the_same_plan() -> None:
    assert plan_of("smoke.yaml", "cpu") == plan_of("smoke.yaml", "cpu")


def test_each_stage_starts_from_the_preceding_model() -> None:
    plan = plan_of("smoke.yaml", "cpu")
    models = [plan.initial_model(stage) for stage in plan.recipe.stages]
    assert models == ["/runs/smoke/model", "/runs/smoke/stages/sft/model", "/runs/smoke/stages/stage-one/model"]


def test_init_from_is_a_stage_a_folder_or_a_hub_name() -> None:
    for value, expected in [
        ("sft", "/runs/smoke/stages/sft/model"),
        ("/models/mine", "/models/mine"),
        ("Qwen/Qwen2.5-Coder-0.5B-Instruct", "Qwen/Qwen2.5-Coder-0.5B-Instruct"),
    ]:
        plan = plan_of("smoke.yaml", "cpu", f"stages.stage-two.init_from={value}")
        assert plan.initial_model(plan.recipe.stages[2]) == expected


def test_lora_is_merged_before_the_hand_over() -> None:
    plan = plan_of("smoke.yaml", "cpu", "stages.sft.lora={rank: 4}")
    names = [step.name for step in plan.steps if step.stage == "sft"]
    assert names == ["sft/prepare", "sft/train", "sft/export", "sft/handover"]
    settings = json.loads(plan.step("sft/handover").launch.files["handover.json"])
    assert settings["exported"] == "/runs/smoke/stages/sft/export"
    assert "finetuning_type: lora" in plan.step("sft/train").launch.files["train.yaml"]
    assert "adapter_name_or_path: /runs/smoke/stages/sft/checkpoint" in plan.step("sft/export").launch.files["export.yaml"]


def test_deepspeed_by_name_is_a_file_of_the_checkout_and_off_on_cpu() -> None:
    name = "stages.sft.llamafactory.deepspeed=zero3"
    on_cuda = plan_of("smoke.yaml", "cuda", name).step("sft/train").launch.files["train.yaml"]
    assert "deepspeed: /checkouts/llamafactory/examples/deepspeed/ds_z3_config.json" in on_cuda
    assert "deepspeed" not in plan_of("smoke.yaml", "cpu", name).step("sft/train").launch.files["train.yaml"]


@pytest.mark.parametrize("name", FILES)
def test_deepspeed_files_are_in_the_pinned_checkout(name: str) -> None:
    examples = pin("llamafactory").checkout / "examples/deepspeed"
    if not examples.is_dir():
        pytest.skip("no LLaMA-Factory checkout; run `pipeline env sync llamafactory`")
    assert json.loads((examples / FILES[name]).read_text())["zero_optimization"]["stage"] == int(name[4])


def test_a_custom_converter_is_an_input_of_the_preparation() -> None:
    source = "{converter: mine, file: /own/mine.py, source: /own/rows.jsonl}"
    step = plan_of("smoke.yaml", "cpu", f"stages.sft.data.train={source}").step("sft/prepare")
    assert step.inputs == {"source /own/rows.jsonl": "/own/rows.jsonl", "converter file /own/mine.py": "/own/mine.py"}
    assert json.loads(step.launch.files["prepare.json"])["train"][0]["file"] == "/own/mine.py"


def test_sandbox_settings_do_not_re_run_the_preparation() -> None:
    here = plan_of("smoke.yaml", "cpu").step("stage-one/prepare").launch
    there = plan_of("smoke.yaml", "cpu", "sandbox.isolation=weak", "sandbox.workers=2").step("stage-one/prepare").launch
    assert json.loads(there.files["prepare.json"])["sandbox"] == {"isolation": "weak", "workers": 2}
    assert {**there.files, **there.cache_key_files} == {**here.files, **here.cache_key_files}


def test_prompts_are_counted_before_training_with_the_initial_models_tokenizer() -> None:
    plan = plan_of("smoke.yaml", "cpu", "stages.stage-two.init_from=/models/mine", "stages.stage-one.data.max_overlong=0.1")
    names = [step.name for step in plan.steps]
    assert names.index("model") + 1 == names.index("prompts") == names.index("sft/train") - 1
    step = plan.step("prompts")
    counted = [
        (each["model"], each["taught"], each["limit"]) for each in json.loads(step.launch.files["prompts.json"])["stages"]
    ]
    assert counted == [("/runs/smoke/model", False, 512), ("/runs/smoke/model", True, 320), ("/models/mine", False, 320)]
    assert json.loads(step.launch.files["prompts.json"])["stages"][1]["max_overlong"] == 0.1
    assert {"/models/mine", "/runs/smoke/model", "/runs/smoke/stages/stage-two/data/train.parquet"} <= {*step.inputs.values()}


def test_prompts_are_counted_with_the_arguments_of_the_chat_template() -> None:
    off = "data.apply_chat_template_kwargs={enable_thinking: false}"
    sft = [
        "stages.sft.trainer=verl",
        "stages.sft.template=!remove",
        "stages.sft.llamafactory=!remove",
        f"stages.sft.verl.{off}",
    ]
    step = plan_of("smoke.yaml", "cpu", *sft, f"stages.stage-two.verl.{off}").step("prompts")
    counted = [each.get("arguments") for each in json.loads(step.launch.files["prompts.json"])["stages"]]
    assert counted == [{"enable_thinking": False}, None, {"enable_thinking": False}]


def test_prompts_of_a_tool_stage_are_counted_with_the_tools_schema() -> None:
    step = plan_of("smoke.yaml", "cpu", "stages.stage-two.tool={name: python_interpreter}").step("prompts")
    counted = [each.get("tools") for each in json.loads(step.launch.files["prompts.json"])["stages"]]
    assert counted == [None, None, {NAME: SCHEMA}]


@pytest.mark.parametrize("recipe", RECIPES)
def test_steps_use_the_environments_that_they_name(recipe: str) -> None:
    """A step must not start before an environment whose Python is in its command, variables or files is built."""
    for step in plan_of(recipe, "cpu").steps:
        launch = step.launch
        text = json.dumps([launch.argv, dict(launch.environment), dict(launch.files)])
        assert set(step.uses) == {name for name in ("llamafactory", "verl") if f"/environments/{name}/" in text}, step.name
