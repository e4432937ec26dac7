"""The JSON Schema of recipe files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipelines.recipe.json_schema import build_schema, dump_schema
from pipelines.recipe.nodes import Origin
from pipelines.recipe.reading import read
from pipelines.shipped import RECIPES
from tests.pipelines.recipe.test_errors import CASES

from .conftest import RECIPE

SCHEMA = build_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def parse(recipe: str) -> Any:
    return read(recipe, lambda line: Origin(Path(), str(line), (0, line))).plain()


def test_committed_schema_is_current() -> None:
    committed = (RECIPES / "recipe.schema.json").read_text(encoding="utf-8")
    assert committed == dump_schema(), "regenerate it: pipeline schema > recipes/recipe.schema.json"
    assert json.loads(committed) == SCHEMA


def test_schema_is_valid_draft_7() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_recipes_validate(path: Path) -> None:
    VALIDATOR.validate(parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        "extends: a.yaml",
        "extends: [a.yaml, b.yaml]\nstages: [{name: a, epochs: 3}, {name: b, rollout: {samples: 3}}]",
        "extends: a.yaml\nstages: [{name: a, kind: rl, verl: {trainer.val_only: true, data: {shuffle: false}}}]",
        "extends: a.yaml\nseed: '${env:SEED}'\nhardware: {nodes: '${env:NODES:1}'}\nmodel: {layers: 3}",
        "extends: a.yaml\nstages: [{name: a, data: {train: {limit: 3}}, verl: {ray_kwargs: {ray_init: {x: 1}}}}]",
        "defaults: {rl: {algorithm: grpo, verl: {trainer.val_only: true}}}\nstages: [{name: a, kind: rl, epochs: 3}]",
        RECIPE.replace("warmup_ratio: 0.1", "warmup_ratio: '${env:WARMUP}', deepspeed: zero3"),
    ],
)
def test_valid_recipes(recipe: str) -> None:
    VALIDATOR.validate(parse(recipe))


@pytest.mark.parametrize(
    "name",
    [
        "unknown key",
        "unknown key at the top",
        "missing key",
        "text for a number",
        "fraction for a whole number",
        "number for text",
        "too small",
        "choice",
        "kind",
        "no kind",
        "bad name",
        "unknown LLaMA-Factory key",
        "wrong choice of a LLaMA-Factory key",
        "verl key without its group",
    ],
)
def test_mistakes_are_invalid(name: str) -> None:
    before, after, _ = CASES[name]
    assert not VALIDATOR.is_valid(parse(RECIPE.replace(before, after, 1)))


@pytest.mark.parametrize(
    "recipe",
    [
        "extends: a.yaml\nsed: 3",
        "extends: a.yaml\nstages: [{name: a, learning_rat: 3}]",
        "extends: a.yaml\nstages: [{name: a, kind: sft, rollout: {samples: 3}}]",
        "extends: a.yaml\nstages: [{epochs: 3}]",
    ],
)
def test_extending_recipes_are_checked(recipe: str) -> None:
    assert not VALIDATOR.is_valid(parse(recipe))


def test_every_field_has_a_description() -> None:
    for name in ("Recipe", "SftStage", "RlStage", "Rollout", "Source", "Hardware", "TinyModel"):
        for key, field in SCHEMA["$defs"][name]["properties"].items():
            about = SCHEMA["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field
            assert about.get("description") or key == "kind", f"{name}.{key}"
