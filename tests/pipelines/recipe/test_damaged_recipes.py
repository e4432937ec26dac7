"""Damaged recipes give error lines, never a traceback."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.problems import RecipeError

from .conftest import RECIPE, Write

_VALUES = ["", "3", "-1", "0.5", "true", "null", "~", "text", "[]", "[1, {a: b}]", "{}", "{a: {b: c}}", "'", '"', "!remove"]
_VALUES += [
    "!replace {a: 1}",
    "!x",
    "&a",
    "*a",
    "<<",
    "${env:",
    "$${",
    "..",
    "/",
    "\t",
    "#",
    "|",
    "? a",
    ": b",
    "\u2028",
    "extends",
]


@pytest.mark.parametrize("seed", range(80))
def test_damaged_recipe_loads_or_gives_error_lines(seed: int, write: Write) -> None:
    choose = random.Random(seed)
    text = RECIPE
    for _ in range(choose.randrange(1, 4)):
        start = choose.randrange(len(text))
        words = [index for index in range(start, len(text)) if text[index] in " :,{}[]\n"] or [len(text)]
        end = choose.choice(words[:3])
        text = text[:start] + choose.choice(_VALUES) + text[end:]
    try:
        loaded = load(write("x.yaml", text), ["seed=1"] if choose.random() < 0.5 else [])
    except RecipeError as error:
        lines = str(error).splitlines()
        assert len(lines) == len(error.problems)
        assert all(line.startswith(("x.yaml:", "--set ")) for line in lines), lines
    else:
        assert load(write("again.yaml", loaded.text())).recipe == loaded.recipe


@pytest.mark.parametrize("value", ["text", "null", "[1]", "{a: 1}"])
def test_any_key_can_be_set_to_any_value(value: str, write: Write) -> None:
    tried = 0
    for loc, _ in load(Path("small.yaml")).root.walk():
        if loc:
            key = ".".join(map(str, loc))
            try:
                load(Path("small.yaml"), [f"{key}={value}"])
            except RecipeError as error:
                assert "\n" not in str(error) or len(error.problems) > 1
            tried += 1
    assert tried > 35
