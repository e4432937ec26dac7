"""`defaults`: what all stages of a kind say, unless one says otherwise itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from pipelines.recipe.error_messages import found
from pipelines.recipe.merging import merge
from pipelines.recipe.nodes import Node
from pipelines.recipe.problems import Problem, RecipeError
from pipelines.recipe.schema import RlStage, SftStage
from rewards.suggestions import any_of, did_you_mean

KEY = "defaults"
KINDS: Mapping[str, type[BaseModel]] = {"sft": SftStage, "rl": RlStage}
"""The kinds of stages."""

_OWN = ("name", "kind")
"""What only a stage can say."""


def lay_under(root: Node) -> Node:
    """The recipe without `defaults`, each stage laid over those of its kind as a recipe is laid over one that it extends.

    Raises:
        RecipeError: a kind or a key that does not exist. What lies deeper is checked where it is laid, in the stages.
    """
    said = root.children.get(KEY)
    if said is None:
        return root
    problems = list(_check(said))
    if problems:
        raise RecipeError(problems)
    rest = {key: child for key, child in root.children.items() if key != KEY}
    stages = rest.get("stages")
    if stages is not None and isinstance(stages.value, list):
        rest["stages"] = stages.with_value([_laid(stage, said) for stage in stages.items])
    return root.with_value(rest)


def places(root: Node) -> frozenset[tuple[int, int]]:
    """Where a recipe's defaults are written (`Origin.order`): what is wrong there is wrong once, whatever stages it is in."""
    said = root.children.get(KEY)
    return frozenset(node.origin.order for _, node in said.walk()) if said is not None else frozenset()


def _laid(stage: Node, said: Node) -> Node:
    kind = stage.children.get("kind")
    below = said.children.get(str(kind.value)) if kind is not None else None
    return stage if below is None else merge(below, stage)


def _check(said: Node) -> Iterator[Problem]:
    if not isinstance(said.value, dict):
        yield Problem(said.origin.text, KEY, f"found {found(said.plain())}, expected a mapping with {any_of(KINDS)}")
    for kind, node in said.children.items():
        if kind not in KINDS:
            what = did_you_mean(kind, KINDS) or f"; expected a kind of stages, {any_of(KINDS)}"
            yield Problem(node.origin.text, f"{KEY}.{kind}", f"unknown key{what}")
        elif not isinstance(node.value, dict):
            yield Problem(
                node.origin.text, f"{KEY}.{kind}", f"found {found(node.plain())}, expected a mapping of a stage's keys"
            )
        else:
            yield from _check_keys(kind, node)


def _check_keys(kind: str, node: Node) -> Iterator[Problem]:
    valid = [key for key in KINDS[kind].model_fields if key not in _OWN]
    for key, child in node.children.items():
        if key in _OWN:
            yield Problem(child.origin.text, f"{KEY}.{kind}.{key}", f"each stage says its own {key}")
        elif key not in valid:
            what = did_you_mean(key, valid) or f"; expected {any_of(valid)}"
            yield Problem(child.origin.text, f"{KEY}.{kind}.{key}", f"unknown key{what}")
