"""Recipes with another entry point: what `pipeline plan` refuses, a line each, and what only this machine lacks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.checks import entries
from pipelines.checks.entries import find_entry_problems, list_keys, read_defaults
from pipelines.recipe.loading import load
from pipelines.recipe.upstream_keys import check_keys
from pipelines.run.machine import find_environments
from pipelines.trainers.verl.rl.entry import find_entry
from tests import ROOT

Call = Callable[..., tuple[int, str, str]]

RECIPE = """\
extends: smoke.yaml
name: own
stages:
  - name: stage-one
    entry: recipe.scaled.main_scaled
    checkout: checkout
    verl: {scaling: {factor: 0.5}}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a recipe next to a checkout; what is cached is the test's own."""
    monkeypatch.setattr(entries, "cache_folder", lambda: tmp_path / "cache")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tests/real/own_entries", tmp_path / "checkout", ignore=ignore)
    (tmp_path / "own.yaml").write_text(RECIPE)
    return tmp_path / "own.yaml"


def problems(recipe: Path, *sets: str) -> list[tuple[str, bool]]:
    loaded = load(recipe, ["hardware.platform=cpu", *sets])
    return find_entry_problems(loaded, loaded.recipe.stages, find_environments(loaded.recipe))


def test_a_stage_of_the_entry_is_accepted(recipe: Path, environments: None) -> None:
    assert problems(recipe) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("verl.scaling.fctor=1", "verl.scaling.fctor: unknown key; did you mean 'factor'?"),
        ("verl.scaling.factor=high", "verl.scaling.factor: found the text 'high', expected a number (the default is 1.0)"),
        ("verl.scalign.factor=1", "verl.scalign: unknown key; did you mean 'scaling"),
        ("verl.trainer.use_v2=true", "verl.trainer.use_v2: unknown key; did you mean 'use_v1'?"),
        ("verl.actor_rollout_ref.actor.policy_loss.loss_mode=vanila", "did you mean 'vanilla'?"),
        ("verl.algorithm.kl_ctrl.type=fixd", "did you mean 'fixed'?"),
    ],
)
def test_keys_are_those_of_the_entry(change: str, message: str, recipe: Path, environments: None) -> None:
    ((line, local),) = problems(recipe, f"stages.stage-one.{change}")
    assert message in line and not local


def test_keys_of_verls_classes_and_names_of_the_checkout(recipe: Path, environments: None) -> None:
    loss = "stages.stage-one.verl.actor_rollout_ref.actor.policy_loss.loss_mode=own_loss"
    assert len(problems(recipe, loss)) == 1
    (recipe.parent / "checkout/scaled/losses.py").write_text("register('own_loss')\n")
    fields = ["actor.optim.grad_clip=1.0", "model.load_tokenizer=true"]
    sets = [f"stages.stage-one.verl.actor_rollout_ref.{each}" for each in fields]
    assert problems(recipe, loss, "stages.stage-one.verl.algorithm.adv_estimator=own", *sets) != []
    (recipe.parent / "checkout/scaled/losses.py").write_text("register('own_loss', 'own')\n")
    assert problems(recipe, loss, "stages.stage-one.verl.algorithm.adv_estimator=own", *sets) == []


def test_an_entry_for_another_verl_would_ignore_the_reward(recipe: Path, environments: None) -> None:
    config = recipe.parent / "checkout/scaled/config/scaled_trainer.yaml"
    config.write_text("data: {train_files: x}\nscaling: {factor: 1.0}\nreward_model: {reward_manager: prime}\n")
    ((line, local),) = problems(recipe, "stages.stage-one.verl.scaling.factor=1")
    assert "own.yaml:5: stages.stage-one.entry: recipe.scaled.main_scaled would ignore what the stage sets" in line
    assert "its configuration has no actor_rollout_ref." in line and "it is for another version of verl" in line
    assert not local


def test_a_configuration_that_cannot_be_composed(recipe: Path, environments: None) -> None:
    config = recipe.parent / "checkout/scaled/config/scaled_trainer.yaml"
    config.write_text("defaults: [ppo_trainr, _self_]\n")
    ((line, _),) = problems(recipe)
    assert "cannot be composed: In 'scaled_trainer': Could not load 'ppo_trainr'" in line and "\n" not in line


def test_the_configuration_is_composed_once(recipe: Path, environments: None, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(recipe, ["hardware.platform=cpu"])
    verl, stage = find_environments(loaded.recipe)["verl"], loaded.recipe.stages[1]
    assert stage.kind == "rl"
    answer = read_defaults(find_entry(stage), verl)
    assert answer["keys"]["scaling.factor"] == 1.0 and answer["keys"]["trainer.project_name"] == "scaled"
    monkeypatch.setattr(entries, "ask", lambda *_, **__: pytest.fail("asked again"))
    assert read_defaults(find_entry(stage), verl) == answer
    (recipe.parent / "checkout/scaled/trainer.py").write_text("")
    with pytest.raises(pytest.fail.Exception):
        read_defaults(find_entry(stage), verl)


def test_free_mappings_and_references_take_any_value() -> None:
    listed = list_keys({"own.mapping": {}, "own.reference": "${a.b}", "own.missing": "???", "own.none": None, "own.list": [1]})
    given = {"own": {"mapping": {"a": 1}, "reference": 2, "missing": "x", "none": [1], "list": 3}}
    assert list(check_keys("verl", given, listed=listed)) == [
        (("own", "list"), "found 3, expected a list (the default is [1])")
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("checkout=./none", "checkout: folder not found: "),
        (
            "checkout=v0.9.0",
            "verl-recipe at this tag is not on this machine; download it with `pipeline env sync verl --recipes v0.9.0`",
        ),
    ],
)
def test_a_checkout_that_only_this_machine_lacks(
    change: str, message: str, recipe: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, err = call("plan", "own.yaml", "--set", f"stages.stage-one.{change}")
    assert status == 0, err
    assert "`pipeline run` would refuse this recipe on this machine:" in out and message in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("entry=recipe.scaled.main_scald", "has no module recipe.scaled.main_scald; did you mean 'recipe.scaled.main_scaled'?"),
        ("entry=recipe/scaled/main_scaled.py", "expected a Python module; did you mean 'recipe.scaled.main_scaled'?"),
        ("entry=3", "entry is '3', expected a Python module, such as recipe.prime.main_prime"),
        ("entry=null", "is for `entry`, which is missing"),
        ("checkout=null", "entry recipe.scaled.main_scaled needs `checkout`"),
        ("checkout=own.yaml", "own.yaml is a file; expected a folder"),
        ("checkout=owner/name", "expected a folder, which does not exist, or a tag of verl-recipe"),
        ("verl.trainer.total_epochs=1", "set by the recipe's `epochs`; use that instead"),
        ("algorithm=prime", "prime is outside verl's core; set `entry: recipe.prime.main_prime` and `checkout`"),
    ],
)
def test_a_recipe_that_no_machine_can_run(change: str, message: str, recipe: Path, call: Call) -> None:
    status, out, err = call("plan", "own.yaml", "--set", f"stages.stage-one.{change}")
    assert (status, message in err, "Traceback" in err) == (2, True, False), out + err


def test_a_checkout_that_would_replace_verl(recipe: Path) -> None:
    checkout = recipe.parent / "checkout"
    (checkout / "verl").mkdir()
    (checkout / "verl/__init__.py").touch()
    assert problems(recipe, "stages.stage-one.checkout=./checkout")[:1] != [], "asked verl, or refused"
    (checkout / "recipe").mkdir()
    (checkout / "scaled").rename(checkout / "recipe/scaled")
    ((line, local),) = problems(recipe)
    assert "contains the package verl, which would replace that of the run; expected the folder recipe in it" in line
    assert not local


def test_the_recipe_of_the_page(tmp_path: Path, environments: None) -> None:
    page = (ROOT / "docs/entry-points.md").read_text(encoding="utf-8")
    text = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]
    assert "checkout: tests/real/own_entries" in text
    (tmp_path / "own.yaml").write_text(text.replace("tests/real", f"{ROOT}/tests/real"))
    assert problems(tmp_path / "own.yaml") == []
