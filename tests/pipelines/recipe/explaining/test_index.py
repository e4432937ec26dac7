"""The index of keys: all of the schema, each with its meaning and type."""

from __future__ import annotations

import pytest

from pipelines.recipe.explaining.index import Key, recipe_keys
from pipelines.recipe.schema import Recipe, RlStage, SftStage


def find(name: str, kind: str = "") -> Key:
    """Return the key of this short name."""
    (found,) = [key for key in recipe_keys() if key.short == name and (not kind or kind in key.stages)]
    return found


def test_every_field_is_a_key_with_a_meaning() -> None:
    names = {(key.short, kind) for key in recipe_keys() for kind in key.stages or ("",)}
    assert {(name, "") for name in Recipe.model_fields} <= names
    assert {(name, "sft") for name in SftStage.model_fields} | {(name, "rl") for name in RlStage.model_fields} <= names
    assert [key.name for key in recipe_keys() if not key.meaning or not key.type.text] == []


def test_a_key_of_both_kinds_is_listed_once() -> None:
    assert find("learning_rate").stages == ("sft", "rl")
    assert find("kind").stages == ("sft", "rl")
    assert find("batch", "sft") != find("batch", "rl")


@pytest.mark.parametrize(
    ("name", "kind", "text", "bounds"),
    [
        ("rollout.samples", "", "a whole number", "at least 1"),
        ("rollout.top_p", "", "a number", "above 0, at most 1"),
        ("epochs", "", "a number or null", "above 0"),
        ("keep_best", "", "true or false", ""),
        ("hardware.platform", "", "text", ""),
        ("model", "", "a path or a hub name or a mapping", ""),
        ("environments.verl", "", "a path or null", ""),
        ("reward", "", "text or a mapping or a list of mappings", ""),
        ("data.train", "", "a mapping or a list of mappings", ""),
        ("stages", "", "a list of mappings", ""),
        ("evaluate.require", "", "a mapping", ""),
    ],
)
def test_types_in_words(name: str, kind: str, text: str, bounds: str) -> None:
    key = find(name, kind)
    assert (key.type.text, key.type.bounds) == (text, bounds)


def test_values_defaults_and_nested_keys() -> None:
    assert find("hardware.platform").type.values == ("auto", "cpu", "cuda")
    assert "grpo" in find("algorithm").type.values
    assert (find("rollout.temperature").default, find("rollout.temperature").required) == (1.0, False)
    assert find("rollout.max_prompt_tokens").required
    assert "train" in find("data").keys and find("data.train.converter").required
