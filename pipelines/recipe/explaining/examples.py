"""Example values of keys: those of the shipped recipes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipelines.recipe.finding import read_recipe
from pipelines.recipe.nodes import Node
from pipelines.shipped import RECIPES

_FIRST = ("execverify.yaml", "custom_sft.yaml", "apps_ppo.yaml")
"""Recipes to take examples from before the others."""


@dataclass(frozen=True)
class Example:
    """A value in a shipped recipe."""

    file: str
    stage: str
    """The name of the stage; empty: not in a stage."""
    value: Any


def find_example(path: Sequence[str], kinds: Sequence[str]) -> Example | None:
    """Return how a shipped recipe sets a key; None if none does.

    Args:
        path: The key, in a stage if it has kinds.
        kinds: The kinds of the stages that have the key.
    """
    for file in _files():
        for stage, node in _places(_read(file), kinds):
            found = _find(node, path)
            if found is not None:
                return Example(file, stage, found.plain())
    return None


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    import yaml

    text = yaml.safe_dump(_shorten(value), default_flow_style=True, sort_keys=False, width=100_000)
    # Recipes are YAML 1.2, in which `on` is text.
    return text.removesuffix("\n...\n").strip().replace("'on':", "on:")


def _shorten(value: Any) -> Any:
    """Return 2.0 as 2."""
    if isinstance(value, dict):
        return {key: _shorten(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shorten(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def nested(path: Sequence[str], value: Any) -> str:
    """Return a key with its value on one line: `rollout: {samples: 8}`."""
    for name in reversed(path[1:]):
        value = {name: value}
    return f"{path[0]}: {flow(value)}"


def _files() -> list[str]:
    names = sorted(path.name for path in RECIPES.glob("*.yaml"))
    return sorted(names, key=lambda name: (name not in _FIRST, _FIRST.index(name) if name in _FIRST else 0, name))


@cache
def _read(file: str) -> Node:
    return read_recipe(RECIPES / file)


def _places(root: Node, kinds: Sequence[str]) -> Iterator[tuple[str, Node]]:
    """Yield the mappings that may have the key: the recipe, or its stages with the defaults of their kind."""
    if not kinds:
        yield "", root
        return
    defaults = root.child("defaults")
    for stage in root.stages:
        if stage.text("kind") in kinds:
            yield stage.name or "", stage
            common = defaults.child(stage.text("kind") or "") if defaults is not None else None
            if common is not None:
                yield stage.name or "", common


def _find(node: Node, path: Sequence[str]) -> Node | None:
    """Return the value at a path; of a list, the first item that has it."""
    if not path:
        return node
    if node.items:
        return next((found for item in node.items if (found := _find(item, path)) is not None), None)
    child = node.child(path[0]) if node.children else None
    return None if child is None else _find(child, path[1:])
