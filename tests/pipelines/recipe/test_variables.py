"""`${env:NAME}` in values."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.nodes import Node
from pipelines.recipe.problems import RecipeError
from pipelines.recipe.schema import SftStage
from pipelines.recipe.variables import substitute

from .conftest import ORIGIN, RECIPE, Write

ENVIRONMENT = {
    "N": "3",
    "RATE": "1e-5",
    "YES": "true",
    "TEXT": "a b",
    "EMPTY": "",
    "MAP": "{a: 1}",
    "TAG": "!x y",
    "D": "${env:N}",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:N}", 3),
        ("${env:RATE}", 1e-5),
        ("${env:YES}", True),
        ("${env:TEXT}", "a b"),
        ("${env:EMPTY}", None),
        ("${env:MAP}", "{a: 1}"),
        ("${env:TAG}", "!x y"),
        ("x${env:N}", "x3"),
        ("${env:N}${env:N}", "33"),
        ("${env:NOT}", None),
        ("${env:NOT:7}", 7),
        ("${env:N:7}", 3),
        ("${env:NOT:}", None),
        ("a/${env:NOT:b:c}/d", "a/b:c/d"),
        ("$${env:N}", "${env:N}"),
        ("$${env:N}-${env:N}", "${env:N}-3"),
        ("$$${env:N}", "$${env:N}"),
        ("${env:D}", "${env:N}"),
        ("${actor_rollout_ref.model.path}", "${actor_rollout_ref.model.path}"),
        ("$HOME", "$HOME"),
    ],
)
def test_references_are_replaced(text: str, value: Any) -> None:
    node = Node(text, ORIGIN)
    if text == "${env:NOT}":
        with pytest.raises(RecipeError, match="here:1: the environment variable NOT is not set"):
            substitute(node, ENVIRONMENT)
    else:
        assert substitute(node, ENVIRONMENT).value == value


@pytest.mark.parametrize("text", ["${env:}", "${env:1A}", "${env:A", "${env:A B}", "x ${env:A:b"])
def test_malformed_references(text: str) -> None:
    with pytest.raises(RecipeError, match="a variable is written"):
        substitute(Node(text, ORIGIN), {"A": "1"})


def test_keys_are_not_changed() -> None:
    node = Node({"${env:N}": Node("${env:N}", ORIGIN)}, ORIGIN)
    assert substitute(node, ENVIRONMENT).plain() == {"${env:N}": 3}


@pytest.mark.parametrize("seed", range(100))
def test_escaped_text_is_unchanged(seed: int) -> None:
    choose = random.Random(seed)
    text = "".join(choose.choice(["${", "}", "$", "env:", "N", "a", " ", ":", "{"]) for _ in range(12)).replace("$$", "$")
    escaped = text.replace("${", "$${")
    assert substitute(Node(escaped, ORIGIN), ENVIRONMENT).value == text


def test_numbers_and_text_from_variables(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE", "3e-5")
    monkeypatch.setenv("RUN", "42")
    monkeypatch.setenv("DATA", "/data/sets")
    text = (
        RECIPE.replace("learning_rate: 1e-5", "learning_rate: ${env:RATE}")
        .replace("name: small", "name: ${env:RUN}")
        .replace("source: data/sft.json", 'source: "${env:DATA:data}/sft.json"')
    )
    recipe = load(write("x.yaml", text), ["stages.sft.save_every=${env:RUN}"]).recipe
    sft = recipe.stages[0]
    assert isinstance(sft, SftStage)
    assert (recipe.name, sft.learning_rate, sft.save_every) == ("42", 3e-5, 42)
    assert sft.data.train.source == "/data/sets/sft.json"  # type: ignore[union-attr]


def test_overridden_values_need_no_variable(write: Write) -> None:
    write("base.yaml", RECIPE.replace("learning_rate: 1e-5", "learning_rate: ${env:SURELY_NOT_SET}"))
    assert (
        load(write("x.yaml", "extends: base.yaml\n"), ["stages.sft.learning_rate=1e-3"]).recipe.stages[0].learning_rate == 1e-3
    )
