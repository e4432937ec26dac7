"""`pipeline recipes`: every shipped file, described by itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipelines.cli.recipes import describe_recipe, first_sentence
from pipelines.recipe.loading import load
from pipelines.shipped import RECIPES
from tests.pipelines.conftest import Call
from tests.terminal import pipeline, plain, show

NAMES = sorted(path.name for path in RECIPES.glob("*.yaml"))


def test_all_recipes_and_sets_are_listed(call: Call) -> None:
    status, out, _ = call("recipes")
    assert status == 0
    rows = [line.split("\t") for line in out.splitlines() if line]
    assert [row[0] for row in rows[1 : len(NAMES) + 1]] == NAMES
    assert {row[0] for row in rows[len(NAMES) + 2 :]} == {path.stem for path in (RECIPES / "evaluations").glob("*.yaml")}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_describes_itself(name: str) -> None:
    found, loaded = describe_recipe(RECIPES / name), load(RECIPES / name).recipe
    assert len(found.about) > 20 and not found.about.endswith(".")
    assert [(stage.name, stage.kind, stage.trainer) for stage in found.stages] == [
        (stage.name, stage.kind, stage.trainer) for stage in loaded.stages
    ]
    assert [stage.algorithm for stage in found.stages] == [getattr(stage, "algorithm", None) for stage in loaded.stages]
    tiny = not isinstance(loaded.model, str)
    assert found.gpus == (0 if tiny else loaded.hardware.nodes * loaded.hardware.gpus_per_node)
    assert found.model == ("tiny" if tiny else loaded.model)
    assert found.data


def test_data_names_variables_and_hub_names() -> None:
    found = describe_recipe(RECIPES / "execverify.yaml")
    assert found.data[0] == "$EXECVERIFY_DATA/sft_dataset.json" and found.data[-1] == "PRIME-RL/Eurus-2-RL-Data"
    assert found.hardware == "8 GPUs"
    assert describe_recipe(RECIPES / "smoke.yaml").data == ["included"]


def test_json(call: Call) -> None:
    status, out, _ = call("recipes", "--json")
    found = json.loads(out)
    assert (status, found["version"]) == (0, 1)
    assert [each["name"] for each in found["recipes"]] == NAMES
    assert {"name", "about", "source", "here"} == found["evaluation_sets"][0].keys()


def test_the_first_sentence_ends_at_a_full_stop(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("# yaml-language-server: $schema=x\n#\n# A 1.5B model, on\n# e.g.x. data. More.\n#\n#  pipeline\nname: x\n")
    assert first_sentence(path) == "A 1.5B model, on e.g.x"
    path.write_text("name: x\n")
    assert first_sentence(path) == ""


@pytest.mark.parametrize("columns", [80, 200])
def test_on_a_terminal_no_line_is_cut(columns: int, tmp_path: Path) -> None:
    status, text = show(pipeline("recipes"), columns, tmp_path)
    assert status == 0
    lines = plain(text).splitlines()
    assert max(map(len, lines)) <= columns
    words = " ".join(re.split(r"\s+", plain(text)))
    assert "stage two" in words and "…" not in words and lines[-1].startswith("next: pipeline init")
