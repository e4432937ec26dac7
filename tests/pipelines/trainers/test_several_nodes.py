"""SFT on several nodes: the launcher, torchrun without its own rendezvous, rows per step of all devices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipelines.errors import InputError
from pipelines.recipe.loading import load
from pipelines.recipe.schema import SftStage
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import make_plan
from pipelines.trainers.base import Context, Trainer
from pipelines.trainers.llamafactory import trainer as llamafactory
from pipelines.trainers.verl.sft import trainer as verl
from tests.pipelines.trainers.verl.stages import context, sft_stage

RAY = Path("/verl/bin/python")
LAUNCHER = (str(RAY), "-m", "pipelines.run.cluster.launch", "2", "4", "--")


def on_cluster(stage: SftStage, **hardware: int) -> Context:
    return replace(context(stage, "cuda", Path("/runs/demo/stages/one"), **hardware), ray=RAY)


@pytest.mark.parametrize(("name", "trainer"), [("verl", verl), ("llamafactory", llamafactory)])
def test_the_launcher_starts_the_command_of_one_node(name: str, trainer: Trainer[SftStage]) -> None:
    stage = sft_stage(trainer=name, template=None)
    one = trainer.launch(stage, on_cluster(stage, gpus_per_node=4))
    two = trainer.launch(stage, on_cluster(stage, nodes=2, gpus_per_node=4))
    assert two.argv == (*LAUNCHER, *(word for word in one.argv if word != "--standalone"))
    assert "--standalone" in one.argv or name == "llamafactory"
    assert two.environment == one.environment
    before, after = (YAML(typ="safe").load(each.files["train.yaml"]) for each in (one, two))
    if name == "verl":
        assert (before["data"]["train_batch_size"], after["data"]["train_batch_size"]) == (24, 48)
        assert (before["trainer"]["nnodes"], after["trainer"]["nnodes"]) == (1, 2)
    else:
        assert after == {**before, "data_shared_file_system": True}


@pytest.mark.parametrize(("name", "trainer"), [("verl", verl), ("llamafactory", llamafactory)])
def test_a_stage_of_one_node_needs_no_cluster(name: str, trainer: Trainer[SftStage]) -> None:
    stage = sft_stage(trainer=name, template=None, hardware={"nodes": 1})
    assert trainer.launch(stage, on_cluster(stage, nodes=2)) == trainer.launch(stage, context(stage, "cuda"))


def test_llamafactory_starts_torchrun_for_one_process_of_each_node() -> None:
    stage = sft_stage(trainer="llamafactory", template=None)
    variables = llamafactory.launch(stage, replace(context(stage, nodes=2), ray=RAY)).environment
    assert (variables["FORCE_TORCHRUN"], variables["NPROC_PER_NODE"]) == ("1", "1")


def test_a_python_with_ray_is_needed() -> None:
    stage = sft_stage()
    with pytest.raises(InputError, match=r"hardware\.nodes is 2: verl's environment, which has Ray, is missing"):
        verl.launch(stage, context(stage, nodes=2))


def test_verls_environment_is_part_of_a_run_on_several_nodes(tmp_path: Path) -> None:
    (tmp_path / "sft.yaml").write_text(
        "name: sft\nmodel: org/model\nhardware: {platform: cpu}\n"
        "defaults:\n  sft:\n    data: {train: {converter: sharegpt, source: org/rows}, validation: {fraction: 0.1}}\n"
        "    steps: 2\n    learning_rate: 0.1\n"
        "stages:\n  - {name: one, kind: sft}\n  - {name: two, kind: sft, hardware: {nodes: 2}}\n"
    )
    recipe = load(tmp_path / "sft.yaml").recipe
    environments = find_environments(recipe)
    assert set(environments) == {"llamafactory", "verl"}
    plan = make_plan(recipe, find_machine(environments), tmp_path / "runs")
    assert plan.step("one/train").uses == ("llamafactory",)
    assert plan.step("two/train").uses == ("llamafactory", "verl")
    assert plan.step("two/train").launch.argv[0] == str(environments["verl"].python)
    alone = load(tmp_path / "sft.yaml", ["stages.two.hardware.nodes=1"]).recipe
    assert set(find_environments(alone)) == {"llamafactory"}
