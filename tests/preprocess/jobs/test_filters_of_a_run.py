"""Decontamination and pass rates, from a recipe to prepare.json."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.checks.preflight import find_data_problems
from pipelines.recipe.loading import load
from pipelines.recipe.problems import RecipeError
from pipelines.run.plan import Machine, make_plan
from preprocess.jobs.prepare_config import read_config

RECIPE = """
name: filtered
model: model
stages:
  - name: one
    kind: sft
    data:
      train: {converter: execverify_sft, source: rows.jsonl, pass_rates: {file: rates.jsonl, max: 0.3}}
      validation: {fraction: 0.5}
      decontaminate:
        against: [{converter: humaneval, source: HumanEval.jsonl.gz}, {source: other.jsonl}]
        ngram: 10
    epochs: 1
    learning_rate: 1.0e-5
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for name in ("rows.jsonl", "rates.jsonl", "HumanEval.jsonl.gz", "other.jsonl"):
        (tmp_path / name).write_text("")
    path = tmp_path / "filtered.yaml"
    path.write_text(RECIPE)
    return path


def test_filters_reach_prepare_json_and_the_inputs(recipe: Path, tmp_path: Path) -> None:
    loaded = load(recipe)
    assert find_data_problems(loaded) == []
    here, there = Path("/python"), Path("/checkout")
    plan = make_plan(loaded.recipe, Machine("cpu", here, {"llamafactory": here}, {"llamafactory": there}), tmp_path / "run")
    step = plan.step("one/prepare")
    config = read_config(step.launch.files["prepare.json"])
    assert isinstance(config.train, list) and config.train[0].pass_rates and config.decontaminate is not None
    assert (config.train[0].pass_rates.file, config.train[0].pass_rates.max) == (str(tmp_path / "rates.jsonl"), 0.3)
    assert [(Path(each.source).name, each.converter) for each in config.decontaminate.against] == [
        ("HumanEval.jsonl.gz", "humaneval"),
        ("other.jsonl", None),
    ]
    assert config.decontaminate.ngram == 10
    names = {"rows.jsonl", "rates.jsonl", "HumanEval.jsonl.gz", "other.jsonl"}
    assert {Path(path).name for path in step.inputs.values()} == names, "they are in the cache key"


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("file: rates.jsonl", "file: rate.jsonl", "not found: .*rate.jsonl; did you mean .*rates.jsonl"),
        ("source: other.jsonl", "source: others.jsonl", "not found: .*others.jsonl; did you mean .*other.jsonl"),
        ("converter: humaneval", "converter: humanevil", "no converter is called 'humanevil'; did you mean 'humaneval'"),
    ],
)
def test_missing_files_and_converters_are_found_by_preflight(recipe: Path, before: str, after: str, problem: str) -> None:
    recipe.write_text(RECIPE.replace(before, after))
    (found,) = find_data_problems(load(recipe))
    assert re.search(problem, found)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("max: 0.3", "min: 0.5, max: 0.3", "min is 0.5, greater than max 0.3: no row would be left"),
        ("ngram: 10", "ngram: 4", "ngram: found 4, expected at least 8"),
        ("pass_rates: {file", "pass_rates: {fil", "pass_rates.fil: unknown key; did you mean 'file'?"),
    ],
)
def test_mistake_has_file_and_line(recipe: Path, before: str, after: str, problem: str) -> None:
    recipe.write_text(RECIPE.replace(before, after))
    with pytest.raises(RecipeError) as error:
        load(recipe)
    assert problem in str(error.value)
    assert "filtered.yaml:" in str(error.value)
