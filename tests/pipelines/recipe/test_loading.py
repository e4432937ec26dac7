"""A recipe that is right: its values, where they were written, and its resolved text."""

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


def test_values_are_those_of_yaml_1_2(write: Write) -> None:
    path = write("new.yaml", "extends: small.yaml\nseed: 0o17\nstages:\n- {name: sft, learning_rate: 2e-5, lora: {target: on}}")
    sft, rl = (loaded := load(path)).recipe.stages
    assert isinstance(sft, SftStage)
    assert isinstance(rl, RlStage)
    assert loaded.recipe.seed == 15
    assert sft.lora is not None
    assert (sft.learning_rate, sft.lora.target, rl.learning_rate) == (2e-5, "on", 1e-6)


def test_where_names_file_and_line_of_the_value_that_counts(write: Write) -> None:
    path = write("new.yaml", "extends: small.yaml\n\nstages:\n  - name: sft\n    epochs: 3\n")
    loaded = load(path, ["stages.rl.steps=5"])
    assert loaded.where("stages", "sft", "epochs") == "new.yaml:5"
    assert loaded.where("stages", 0, "learning_rate") == "small.yaml:10"
    assert loaded.where("stages", "rl", "steps") == "--set stages.rl.steps"
    assert loaded.where("stages", "rl", "kl") == "small.yaml:12", "what is not written lies in what is around it"
    assert loaded.where("stages", "rl", "verl", "actor_rollout_ref", "rollout", "enforce_eager") == "small.yaml:23"


def test_files_lists_what_was_read_with_the_recipe_last(write: Write) -> None:
    path = write("sub/new.yaml", "extends: [../small.yaml, more.yaml]\n")
    write("sub/more.yaml", "extends: ../small.yaml\nseed: 3\n")
    loaded = load(path)
    assert [file.name for file in loaded.files] == ["small.yaml", "more.yaml", "new.yaml"]
    assert loaded.path == loaded.files[-1]
    assert loaded.recipe.seed == 3


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_recipes_load_and_their_resolved_text_is_the_same_recipe(path: Path, tmp_path: Path) -> None:
    loaded = load(path)
    copy = tmp_path / "elsewhere" / "resolved.yaml"
    copy.parent.mkdir()
    copy.write_text(loaded.text(), encoding="utf-8")
    assert load(copy).recipe == loaded.recipe


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_recipes_name_their_schema_for_editors(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=recipe.schema.json"


def test_a_copy_of_a_shipped_recipe_finds_what_it_extends(write: Write) -> None:
    copy = write("elsewhere/copy.yaml", (RECIPES / "bootcamp.yaml").read_text(encoding="utf-8"))
    assert load(copy).files == (RECIPES / "shared" / "rl.yaml", Path.cwd() / copy)
    assert "recipe file not found" in problems(write("x.yaml", "extends: ./shared/rl.yaml\n"))[0]
    assert "recipe file not found" in problems(write("x.yaml", "extends: ../shared/rl.yaml\n"))[0]


def test_a_bare_name_that_is_not_here_is_a_shipped_recipe(write: Write) -> None:
    name = SHIPPED[0].name
    assert load(Path(name)).path == SHIPPED[0]
    assert load(write(name, "extends: small.yaml\n")).recipe.name == "small", "what is here comes first"
    path = write("mine.yaml", "extends: execverify.yaml\nname: mine\n")
    (Path.cwd() / name).unlink()
    assert load(path).recipe.name == "mine"


def test_a_missing_file_is_one_line_with_the_nearest(write: Write) -> None:
    [line] = problems("smal.yaml")
    assert line.startswith("smal.yaml: recipe file not found; did you mean 'small.yaml'?")
    assert "execverify.yaml" in line
    [line] = problems("nowhere/smal.yaml")
    assert line.startswith("nowhere/smal.yaml: recipe file not found")
    assert problems(".")[0].startswith(".: is a folder, expected a recipe file")


def test_the_error_is_an_input_error_with_status_2(write: Write) -> None:
    with pytest.raises(InputError) as caught:
        load(write("new.yaml", "extends: small.yaml\nnam: x\n"))
    assert caught.value.exit_status == 2


def test_loading_in_a_fresh_process_is_quick_and_imports_nothing_heavy() -> None:
    script = """
import sys, time
from pathlib import Path
from pipelines.recipe.loading import load
load(Path("execverify.yaml"))
print(time.process_time())
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=RECIPES)
        time, modules = done.stdout.splitlines()
        seconds.append(float(time))
    assert not {"torch", "transformers", "ray", "verl", "pyarrow", "rich", "typer"} & set(modules.split())
    # 0.18 s on an idle machine with compiled bytecode; without it, and with neighbours, a little more.
    assert min(seconds) < 0.8
