"""Loading a valid recipe: values, origins and resolved text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.shipped import RECIPES

from .conftest import Write, problems

SHIPPED = sorted(RECIPES.glob("*.yaml"))


def test_values_follow_yaml_1_2(write: Write) -> None:
    path = write("new.yaml", "extends: small.yaml\nseed: 0o17\nstages:\n- {name: sft, learning_rate: 2e-5, lora: {target: on}}")
    sft, rl = (loaded := load(path)).recipe.stages
    assert isinstance(sft, SftStage)
    assert isinstance(rl, RlStage)
    assert loaded.recipe.seed == 15
    assert sft.lora is not None
    assert (sft.learning_rate, sft.lora.target, rl.learning_rate) == (2e-5, "on", 1e-6)


def test_where_returns_the_origin_of_the_effective_value(write: Write) -> None:
    path = write("new.yaml", "extends: small.yaml\n\nstages:\n  - name: sft\n    epochs: 3\n")
    loaded = load(path, ["stages.rl.steps=5"])
    assert loaded.where("stages", "sft", "epochs") == "new.yaml:5"
    assert loaded.where("stages", 0, "learning_rate") == "small.yaml:10"
    assert loaded.where("stages", "rl", "steps") == "--set stages.rl.steps"
    assert loaded.where("stages", "rl", "kl") == "small.yaml:12"
    assert loaded.where("stages", "rl", "verl", "actor_rollout_ref", "rollout", "enforce_eager") == "small.yaml:23"


def test_extended_files_are_relative_to_their_file(write: Write) -> None:
    path = write("sub/new.yaml", "extends: [../small.yaml, more.yaml]\n")
    write("sub/more.yaml", "extends: ../small.yaml\nseed: 3\n")
    loaded = load(path)
    assert loaded.path == Path.cwd() / path
    assert loaded.recipe.seed == 3


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_resolved_text_of_shipped_recipes_is_the_same_recipe(path: Path, tmp_path: Path) -> None:
    loaded = load(path)
    copy = tmp_path / "copy" / "resolved.yaml"
    copy.parent.mkdir()
    copy.write_text(loaded.text(), encoding="utf-8")
    assert load(copy).recipe == loaded.recipe


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_recipes_name_their_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=recipe.schema.json"


def test_copy_of_a_shipped_recipe_finds_its_base(write: Write) -> None:
    copy = write("elsewhere/copy.yaml", (RECIPES / "bootcamp.yaml").read_text(encoding="utf-8"))
    assert load(copy).recipe.name == "bootcamp-7b"
    assert "recipe file not found" in problems(write("x.yaml", "extends: ./shared/rl.yaml\n"))[0]
    assert "recipe file not found" in problems(write("x.yaml", "extends: ../shared/rl.yaml\n"))[0]


def test_bare_name_of_a_shipped_recipe(write: Write) -> None:
    name = SHIPPED[0].name
    assert load(Path(name)).path == SHIPPED[0]
    assert load(write(name, "extends: small.yaml\n")).recipe.name == "small", "the current folder comes first"
    path = write("mine.yaml", "extends: execverify.yaml\nname: mine\n")
    (Path.cwd() / name).unlink()
    assert load(path).recipe.name == "mine"


def test_missing_file_is_one_line_with_the_nearest(write: Write) -> None:
    [line] = problems("smal.yaml")
    assert line.startswith("smal.yaml: recipe file not found; did you mean 'small.yaml'?")
    [line] = problems("nowhere/smal.yaml")
    assert line.startswith("nowhere/smal.yaml: recipe file not found")
    assert problems(".")[0].startswith(".: is a folder, expected a recipe file")


def test_error_is_an_input_error(write: Write) -> None:
    with pytest.raises(InputError) as caught:
        load(write("new.yaml", "extends: small.yaml\nnam: x\n"))
    assert caught.value.exit_status == 2


def test_loading_imports_nothing_heavy() -> None:
    script = """
import sys
from pathlib import Path
from pipelines.recipe.loading import load
load(Path("execverify.yaml"))
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=RECIPES)
    assert not {"torch", "transformers", "ray", "verl", "pyarrow", "rich", "typer"} & set(done.stdout.split())
