"""`pipeline init`: a file that every command accepts as it is, and with any of its comments removed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.shipped import RECIPES
from tests.pipelines.conftest import Call

NAMES = sorted(path.name for path in RECIPES.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_the_extended_recipe(name: str, call: Call, tmp_path: Path) -> None:
    status, _, err = call("init", "mine", "--from", name)
    assert status == 0
    assert err.splitlines()[-1] == "next: pipeline plan mine.yaml"
    mine, base = load(tmp_path / "mine.yaml").recipe, load(RECIPES / name).recipe
    assert mine.name == "mine"
    assert mine.model_copy(update={"name": base.name}) == base
    assert call("plan", "mine.yaml")[0] == 0
    lines = (tmp_path / "mine.yaml").read_text().splitlines()
    assert [line for line in lines if len(line) > 120 and "source: " not in line and "reward: " not in line] == []


@pytest.mark.parametrize("name", NAMES)
def test_its_comments_are_keys_with_their_values(name: str, call: Call, tmp_path: Path) -> None:
    """With every comment on a key removed, only the examples of keys that the recipe does not set are new."""
    call("init", "mine", "--from", name)
    text = (tmp_path / "mine.yaml").read_text()
    head, body = text.split("name: mine\n", 1)
    body = re.sub(r"^( *)# ((?: *)(?:[\w.]+:|- ))", r"\1\2", body, flags=re.MULTILINE)
    assert not re.search(r"^ *#", body, re.MULTILINE)
    (tmp_path / "all.yaml").write_text(f"{head}name: mine\n{body}")
    # The shipped files of rows are relative to the recipe; those of variables to this one.
    every, base = load(tmp_path / "all.yaml").recipe, load(RECIPES / name).recipe
    assert every.evaluate is not None and (every.model, every.seed, every.hardware) == (base.model, base.seed, base.hardware)
    for one, other in zip(every.stages, base.stages, strict=True):
        same = {"data": other.data, "lora": getattr(other, "lora", None)}
        assert one.model_copy(update={key: value for key, value in same.items() if hasattr(other, key)}) == other
        assert [each.converter for each in one.sources] == [each.converter for each in other.sources]


def test_comments_describe_the_keys(call: Call, tmp_path: Path) -> None:
    call("init", "mine", "--from", "execverify.yaml")
    text = (tmp_path / "mine.yaml").read_text()
    assert re.search(r"^# model: Qwen/Qwen2.5-Coder-7B-Instruct +# The model that the first stage starts from$", text, re.M)
    assert re.search(r"^    #   samples: 8 +# Responses per prompt", text, re.M)
    assert "${env:EXECVERIFY_DATA:data/execverify}/sft_dataset.json" in text


def test_a_file_is_never_overwritten(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("precious")
    status, _, err = call("init", "mine", "--from", "smoke.yaml")
    assert (status, err) == (2, "error: mine.yaml exists; choose another name, or edit it: it is not overwritten\n")
    assert (tmp_path / "mine.yaml").read_text() == "precious"


def test_the_ending_may_be_typed(call: Call, tmp_path: Path) -> None:
    assert call("init", "mine.yaml", "--from", "smoke.yaml")[0] == 0
    assert (tmp_path / "mine.yaml").is_file()


def test_a_recipe_of_the_user(call: Call, tmp_path: Path) -> None:
    call("init", "first", "--from", "smoke.yaml")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "first.yaml").rename(tmp_path / "recipes" / "first.yaml")
    assert call("init", "second", "--from", "recipes/first.yaml")[0] == 0
    assert "extends: recipes/first.yaml" in (tmp_path / "second.yaml").read_text()
    assert call("plan", "second.yaml", "--set", "hardware.platform=cpu")[0] == 0


@pytest.mark.parametrize(
    ("name", "base", "error"),
    [
        ("smoke", "smoke.yaml", "a recipe of the same name would extend itself"),
        ("a b", "smoke.yaml", "'a b' is not a name"),
        ("../up", "smoke.yaml", "'../up' is not a name"),
        ("mine", "smok.yaml", "did you mean 'smoke.yaml'?"),
    ],
)
def test_mistakes(name: str, base: str, error: str, call: Call, tmp_path: Path) -> None:
    status, _, err = call("init", name, "--from", base)
    assert status == 2 and error in err and len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
