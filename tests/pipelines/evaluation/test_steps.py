"""The evaluations of a recipe in its plan."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from pipelines.errors import InputError
from pipelines.evaluation import spec as specs
from pipelines.evaluation.finding import find_target
from pipelines.evaluation.rendering import output_folder, recipe_options
from pipelines.evaluation.steps import Planned, add_evaluations, evaluation_target
from pipelines.recipe.loading import load
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import Machine, make_plan, stage_paths
from tests import ROOT
from tests.pipelines.evaluation.fakes import write_model


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVALUATION_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "HumanEval.jsonl.gz").touch()


def plan_of(evaluate: str, *sets: str, recipe: str = "smoke.yaml") -> Planned:
    loaded = load(ROOT / "recipes" / recipe, [f"evaluate={evaluate}", *sets])
    places = {name: Path(f"/environments/{name}/bin/python") for name in ("llamafactory", "verl")}
    machine = Machine("cpu", Path("/orchestrator/bin/python"), places, {name: Path("/checkout") for name in places})
    return add_evaluations(loaded, make_plan(loaded.recipe, machine, Path("/runs/smoke")))


def evaluations(planned: Planned) -> list[str]:
    return [step.name for step in planned.plan.steps if step.name.endswith("evaluate")]


def spec_of(planned: Planned, step: str) -> specs.Spec:
    return msgspec.json.decode(planned.plan.step(step).launch.files[specs.FILE], type=specs.Spec)


def test_every_model_is_evaluated_before_and_after_the_stages() -> None:
    planned = plan_of("{on: [humaneval, own], samples: 4}")
    names = [step.name for step in planned.plan.steps]
    assert names[names.index("prompts") + 1 : names.index("prompts") + 5] == [
        "evaluate",
        "sft/train",
        "sft/handover",
        "sft/evaluate",
    ]
    assert evaluations(planned) == ["evaluate", "sft/evaluate", "stage-one/evaluate", "stage-two/evaluate"]
    assert planned.left_out == ()
    step = planned.plan.step("stage-one/evaluate")
    assert step.optional and step.uses == ("verl",)
    assert step.launch.argv[1:] == ("-m", "pipelines.evaluation.job", "evaluation.json")
    assert step.directory == Path("/runs/smoke/evaluations/stage-one.4-samples")
    assert step.inputs["the model"] == "/runs/smoke/stages/stage-one/model"
    assert step.outputs[0] == step.directory / "humaneval" / "summary.json"


def test_a_recipe_without_evaluations_keeps_its_plan() -> None:
    plan = plan_of("null").plan
    assert plan == make_plan(plan.recipe, plan.machine, plan.directory)


def test_evaluations_can_be_fewer() -> None:
    assert evaluations(plan_of("{before: false}")) == ["sft/evaluate", "stage-one/evaluate", "stage-two/evaluate"]
    assert evaluations(plan_of("{after: last}")) == ["evaluate", "stage-two/evaluate"]


def test_a_model_is_measured_on_its_own_rows_and_on_those_of_the_next_stage() -> None:
    planned = plan_of("{on: [own], samples: 2}")
    sets = {name: [each.name for each in spec_of(planned, name).sets] for name in evaluations(planned)}
    assert sets == {
        "evaluate": ["own-stage-one"],
        "sft/evaluate": ["own-stage-one"],
        "stage-one/evaluate": ["own-stage-one", "own-stage-two"],
        "stage-two/evaluate": ["own-stage-two"],
    }
    own = spec_of(planned, "stage-one/evaluate").sets[1]
    assert own.definition["data"]["source"] == "/runs/smoke/stages/stage-two/data/validation.parquet"
    assert (own.samples, own.temperature, own.rewards[0]["name"]) == (2, 1.0, "code_tests")


def test_the_set_is_called_own_if_there_is_one_stage_with_rewards() -> None:
    planned = plan_of("{on: [own]}", recipe="smoke_interpreter.yaml")
    assert [each.name for each in spec_of(planned, "evaluate").sets] == ["own"]
    assert spec_of(planned, "evaluate").generation.tool is not None


def test_a_stage_that_starts_elsewhere_is_not_measured_against_the_base() -> None:
    planned = plan_of("{on: [own]}", "stages.stage-two.init_from=/models/mine")
    assert [each.name for each in spec_of(planned, "stage-one/evaluate").sets] == ["own-stage-one"]


def test_a_set_without_its_source_is_left_out(tmp_path: Path) -> None:
    planned = plan_of("{on: [mbpp, own]}")
    (line,) = planned.left_out
    assert line.startswith(
        f"--set evaluate: evaluate.on[0]: left out: set mbpp: {tmp_path}/data/mbpp.jsonl is not on this machine"
    )
    assert [each.name for each in spec_of(planned, "sft/evaluate").sets] == ["own-stage-one"]
    assert evaluations(plan_of("{on: [mbpp]}")) == []


def test_a_required_set_must_be_on_the_machine() -> None:
    (line,) = plan_of("{on: [mbpp, own], require: {mbpp.pass@1: '> 0'}}").missing
    assert re.search(r"evaluate.require.mbpp.pass@1: mbpp not found; .*mbpp.jsonl is not on this machine", line)


def test_a_set_file_with_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ndata: {converter: mbpp, source: x.jsonl}\nreward: code_test\n")
    with pytest.raises(InputError, match=r"mine.yaml:3: reward: .*did you mean 'code_tests'"):
        plan_of(f"{{on: [{tmp_path}/mine.yaml]}}")


def test_the_command_line_finds_the_evaluations_of_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "runs" / "smoke"
    write_model(stage_paths(directory, "sft").model)
    loaded = load(Path("smoke.yaml"), ["hardware.platform=cpu", "evaluate={on: [humaneval], samples: 4, limit: 9}"])
    (directory / "recipe.yaml").write_text(loaded.text())
    plan = make_plan(loaded.recipe, find_machine(find_environments(loaded.recipe)), directory)
    for text, stage in (("runs/smoke/sft", loaded.recipe.stages[0]), ("runs/smoke/sft@0", None)):
        found = find_target(text)
        assert output_folder(found, recipe_options(found)).name == f"{found.label}.4-samples.first-9"
        assert (found.label, found.model, found.home) == (
            (planned := evaluation_target(plan, stage)).label,
            planned.model,
            planned.home,
        )


def test_the_command_line_leaves_out_what_the_run_left_out() -> None:
    plan = plan_of("{on: [mbpp, humaneval, own]}").plan
    assert recipe_options(evaluation_target(plan, None)).sets == ("humaneval", "own")


def test_an_sft_recipe_needs_the_environment_that_generates() -> None:
    recipe = load(Path("smoke.yaml"), ["hardware.platform=cpu", "evaluate={on: [humaneval]}"]).recipe
    alone = recipe.model_copy(update={"stages": recipe.stages[:1]})
    assert [*find_environments(alone)] == ["llamafactory", "verl"]
