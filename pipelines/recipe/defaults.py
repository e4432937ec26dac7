"""`defaults`: keys for all stages of a kind; a stage overrides them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from pipelines.recipe.error_messages import describe_value
from pipelines.recipe.merging import deep_merge
from pipelines.recipe.nodes import Node
from pipelines.recipe.problems import Problem, RecipeError
from pipelines.recipe.schema import RlStage, SftStage
from rewards.suggestions import any_of, did_you_mean

KEY = "defaults"
KINDS: Mapping[str, type[BaseModel]] = {"sft": SftStage, "rl": RlStage}
"""The kinds of stages."""

_STAGE_ONLY = ("name", "kind")


def apply_defaults(root: Node) -> Node:
    """Merge each stage over the defaults of its kind, and remove `defaults`.

    Raises:
        RecipeError: an unknown kind or key. Values are checked later, in the stages.
    """
    given = root.children.get(KEY)
    if given is None:
        return root
    if problems := list(_check(given)):
        raise RecipeError(problems)
    rest = {key: child for key, child in root.children.items() if key != KEY}
    if root.stages:
        rest["stages"] = rest["stages"].with_value([_merge_stage(stage, given) for stage in root.stages])
    return root.with_value(rest)


def default_origins(root: Node) -> frozenset[tuple[int, int]]:
    """Return where the defaults are written (`Origin.order`); a problem there is reported once, not for every stage."""
    given = root.children.get(KEY)
    return frozenset(node.origin.order for _, node in given.walk()) if given is not None else frozenset()


def _merge_stage(stage: Node, given: Node) -> Node:
    base = given.children.get(stage.text("kind") or "")
    return stage if base is None else deep_merge(base, stage)


def _check(given: Node) -> Iterator[Problem]:
    if not isinstance(given.value, dict):
        found = describe_value(given.plain())
        yield Problem(given.origin.text, KEY, f"found {found}, expected a mapping with {any_of(KINDS)}")
    for kind, node in given.children.items():
        where, key = node.origin.text, f"{KEY}.{kind}"
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or f"; expected a kind of stages, {any_of(KINDS)}"
            yield Problem(where, key, f"unknown key{hint}")
        elif not isinstance(node.value, dict):
            yield Problem(where, key, f"found {describe_value(node.plain())}, expected a mapping of a stage's keys")
        else:
            yield from _check_keys(kind, node)


def _check_keys(kind: str, node: Node) -> Iterator[Problem]:
    valid = [key for key in KINDS[kind].model_fields if key not in _STAGE_ONLY]
    for key, child in node.children.items():
        if key in _STAGE_ONLY:
            yield Problem(child.origin.text, f"{KEY}.{kind}.{key}", f"{key} is set in each stage, not in defaults")
        elif key not in valid:
            hint = did_you_mean(key, valid) or f"; expected {any_of(valid)}"
            yield Problem(child.origin.text, f"{KEY}.{kind}.{key}", f"unknown key{hint}")
