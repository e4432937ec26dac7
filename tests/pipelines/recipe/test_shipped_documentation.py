"""docs/recipes.md: its recipes load, and it lists every recipe and algorithm."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipelines.recipe.algorithms import ALGORITHMS
from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage, SftStage
from tests import ROOT
from tests.pipelines.run.test_plan import FOR_CPU, RECIPES

PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```yaml\n# (\w+\.yaml)\n(.*?)^```$", PAGE, re.M | re.S))
OPTIONS = {
    name: [word for word in shlex.split(" ".join(re.findall("`(--set [^`]*)`", sets))) if word != "--set"]
    for names, sets in re.findall(r"^\| ((?:`\w+` ?)+)\| (.*?) ?\|$", PAGE, re.M)
    for name in re.findall(r"`(\w+)`", names)
    if name != "algorithm"
}
"""Algorithm -> the --set options that the page gives for it."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def test_table_of_recipes() -> None:
    rows = re.findall(r"^\| \[`(\w+\.yaml)`\].*\| (\d) GPUs \|", PAGE, re.M)
    assert {name for name, _ in rows} == {*RECIPES} - FOR_CPU
    for name, gpus in rows:
        assert load(Path(name)).recipe.hardware.model_dump() == {"platform": "cuda", "nodes": 1, "gpus_per_node": int(gpus)}


@pytest.mark.parametrize("name", FILES)
def test_custom_recipe_loads(name: str) -> None:
    assert load(Path(name)).recipe.name == name.removesuffix(".yaml").replace("_", "-")


def test_values_of_custom_recipes() -> None:
    assert len(FILES) == 3
    sft, one, two = load(Path("my_execverify.yaml")).recipe.stages
    assert isinstance(sft, SftStage) and isinstance(one, RlStage) and isinstance(two, RlStage)
    assert (sft.batch.per_device, sft.batch.accumulate) == (2, 16)
    assert (one.rollout.tensor_parallel, two.rollout.tensor_parallel, one.rollout.samples) == (1, 1, 8)
    own = load(Path("my_sft.yaml")).recipe.stages[1]
    assert isinstance(own, RlStage)
    assert (own.reward, own.batch.prompts, own.batch.micro_per_gpu) == ("code_tests", 1024, 4)


def test_table_of_algorithms() -> None:
    assert OPTIONS.keys() == ALGORITHMS.keys()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_algorithm_with_its_options(algorithm: str) -> None:
    stage = load(Path("custom_sft.yaml"), [f"stages.rl.algorithm={algorithm}", *OPTIONS[algorithm]]).recipe.stages[1]
    assert isinstance(stage, RlStage)
    assert stage.algorithm == algorithm


@pytest.mark.parametrize("algorithm", ["remax", "reinforce_plus_plus", "ppo"])
def test_algorithms_with_one_sample(algorithm: str) -> None:
    sets = [f"stages.rl.algorithm={algorithm}", *OPTIONS[algorithm], "stages.rl.rollout.samples=1"]
    load(Path("custom_sft.yaml"), sets)
