"""The examples of docs/recipe.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.problems import RecipeError
from tests import ROOT

PAGE = ROOT / "docs/recipe.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
FILES = {match[1]: text for kind, text in BLOCKS if kind == "yaml" and (match := re.match(r"# (\w+\.yaml)\n", text))}


def commands() -> list[tuple[str, str]]:
    """Return each `$ pipeline plan …` command and its printed output."""
    text = "".join(text for kind, text in BLOCKS if kind == "console")
    return [(command, output) for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("MODEL", "GPUS", "DATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def output(command: str) -> str:
    program, verb, recipe, *rest = shlex.split(command)
    assert (program, verb) == ("pipeline", "plan")
    assert rest[::2] == ["--set"] * (len(rest) // 2)
    try:
        loaded = load(Path(recipe), rest[1::2])
    except RecipeError as error:
        return f"error: {error}\n"
    return "".join(f"warning: {line}\n" for line in loaded.unusual())


def test_number_of_examples() -> None:
    assert len(FILES) == 13
    assert len(commands()) == 6


@pytest.mark.parametrize(("command", "expected"), commands(), ids=lambda text: str(text)[:60])
def test_commands_print_what_the_page_shows(command: str, expected: str, folder: Path) -> None:
    assert output(command) == expected


@pytest.mark.parametrize("name", [name for name in FILES if name != "wrong.yaml"])
def test_recipes_load(name: str, folder: Path) -> None:
    load(folder / name)


@pytest.mark.parametrize("trainer", ["llamafactory", "verl"])
def test_sft_page_stage_loads_with_both_trainers(trainer: str, tmp_path: Path) -> None:
    (block,) = re.findall(
        r"^```yaml\n(.*?)^```$", PAGE.with_name("sft.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "two-ways.yaml").write_text(block, encoding="utf-8")
    (stage,) = load(tmp_path / "two-ways.yaml", [f"stages.sft.trainer={trainer}"]).recipe.stages
    assert stage.model_dump()["trainer"] == trainer


def test_values_of_the_recipes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = load(Path("longer.yaml")).recipe
    assert [stage.name for stage in longer.stages] == ["sft", "questions", "tests"]
    questions = longer.stages[1].model_dump()
    assert (questions["epochs"], questions["steps"]) == (None, 2000)
    assert (questions["rollout"]["samples"], questions["rollout"]["tensor_parallel"]) == (16, 4)

    shared = load(Path("shared.yaml")).recipe.stages[1].model_dump()
    assert (shared["rollout"]["gpu_memory"], shared["keep_checkpoints"], shared["kl"]) == (0.8, 3, None)

    monkeypatch.setenv("GPUS", "4")
    monkeypatch.setenv("DATA", "/data")
    nodes = load(Path("nodes.yaml")).recipe
    assert [nodes.hardware_of(stage).nodes for stage in nodes.stages] == [1, 4]
    assert [nodes.hardware_of(stage).gpus_per_node for stage in nodes.stages] == [8, 8]

    anywhere = load(Path("anywhere.yaml")).recipe
    assert anywhere.hardware.gpus_per_node == 4
    assert anywhere.stages[0].model_dump()["data"]["train"]["source"] == "/data/sft_dataset.json"
