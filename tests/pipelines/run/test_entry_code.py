"""The code of an entry point is an input of its training, wherever its checkout is; its commit is in the record."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipelines.digests import Digests
from pipelines.recipe.loading import load
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.origin import origin_of
from pipelines.run.plan import Plan, make_plan
from pipelines.run.skipping import digest_command, digest_inputs
from tests import ROOT

RECIPE = """\
extends: smoke.yaml
name: own
hardware: {platform: cpu}
stages:
  - {name: stage-one, entry: recipe.scaled.main_scaled, checkout: CHECKOUT}
"""


def plan_with(checkout: Path) -> Plan:
    """Return the plan of a recipe with a copy of the checkout of the tests."""
    shutil.copytree(ROOT / "tests/real/own_entries", checkout, ignore=shutil.ignore_patterns("__pycache__"))
    file = checkout.parent / "own.yaml"
    file.write_text(RECIPE.replace("CHECKOUT", str(checkout)))
    recipe = load(file).recipe
    return make_plan(recipe, find_machine(find_environments(recipe)), checkout.parent / "run")


def inputs(plan: Plan) -> dict[str, str]:
    return digest_inputs(plan.step("stage-one/train"), plan, Digests(plan.directory / "digests.json"))


def test_a_moved_checkout_changes_nothing(tmp_path: Path) -> None:
    first, other = plan_with(tmp_path / "one"), plan_with(tmp_path / "another folder")
    for name in ("stage-one/train", "stage-one/export", "stage-two/train"):
        assert digest_command(first.step(name), first) == digest_command(other.step(name), other)
    name = "the code of recipe.scaled.main_scaled"
    assert inputs(first)[name] == inputs(other)[name]


def test_changed_code_changes_the_input(tmp_path: Path) -> None:
    plan = plan_with(tmp_path / "one")
    before = inputs(plan)
    (tmp_path / "one/scaled/config/scaled_trainer.yaml").write_text("scaling: {factor: 2.0}\n")
    now = inputs(make_plan(plan.recipe, plan.machine, plan.directory))
    assert [name for name in now if now[name] != before[name]] == ["the code of recipe.scaled.main_scaled"]


def test_the_digest_of_a_folder_without_git_is_in_the_record(tmp_path: Path) -> None:
    plan = plan_with(tmp_path / "one")
    key = "checkout of recipe.scaled.main_scaled"
    assert origin_of(plan.step("stage-one/train"), plan)[key].rpartition(", ")[2].startswith("files ")
    assert key not in origin_of(plan.step("stage-two/train"), plan)
