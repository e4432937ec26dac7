"""`defaults`: keys for all stages of a kind; a stage overrides them."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from pipelines.recipe import paths
from pipelines.recipe.error_messages import explain
from pipelines.recipe.merging import deep_merge
from pipelines.recipe.nodes import Node, key_path
from pipelines.recipe.problems import Problem, RecipeError, describe_value
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from rewards.suggestions import any_of, did_you_mean

_STAGE_ONLY = ("name", "kind")
_KEYS = {
    kind: [key for key in model.model_fields if key not in _STAGE_ONLY] for kind, model in (("sft", SftStage), ("rl", RlStage))
}


def apply_defaults(root: Node) -> Node:
    """Merge each stage over the defaults of its kind, and remove `defaults`.

    Raises:
        RecipeError: an unknown kind or key. Values are checked later, in the stages.
    """
    given = root.children.get("defaults")
    if given is None:
        return root
    if problems := list(_check(given)):
        raise RecipeError(problems)
    rest = {key: child for key, child in root.children.items() if key != "defaults"}
    if root.stages:
        bases = [given.children.get(stage.text("kind") or "") for stage in root.stages]
        merged = [deep_merge(base, stage) if base else stage for base, stage in zip(bases, root.stages, strict=True)]
        rest["stages"] = rest["stages"].with_value(merged)
    merged_root = root.with_value(rest)
    if problems := list(_check_overridden(given, merged_root)):
        raise RecipeError(problems)
    return merged_root


def _check_overridden(given: Node, root: Node) -> Iterator[Problem]:
    """Find values of wrong types and out of range that all stages override; in a stage, others are found later.

    Args:
        given: The defaults.
        root: The recipe, whose stages are merged over them.
    """
    for kind, node in given.children.items():
        origin = node.origin
        stage = node.with_value({"name": Node("stage", origin), "kind": Node(kind, origin), **node.children})
        alone = root.with_value({"stages": Node([stage], origin)})
        try:
            Recipe.model_validate(paths.resolve(alone).plain())
        except ValidationError as error:
            # What is missing, or contradicts other keys, depends on the stages.
            for loc, message in explain(error, alone, partial=True):
                origin, text = alone.nearest(loc).origin, key_path(alone, loc).removeprefix("stages.stage")
                kept = [root.nearest(("stages", index, *loc[2:])).origin for index, _ in enumerate(root.stages)]
                if loc[:1] == ("stages",) and origin not in kept:
                    yield Problem(origin.text, f"defaults.{kind}{text}", message)


def _check(given: Node) -> Iterator[Problem]:
    if not isinstance(given.value, dict):
        found = describe_value(given.plain())
        yield Problem(given.origin.text, "defaults", f"found {found}, expected a mapping with {any_of(_KEYS)}")
    for kind, node in given.children.items():
        where, path = node.origin.text, f"defaults.{kind}"
        if kind not in _KEYS:
            hint = did_you_mean(kind, _KEYS) or f"; expected a kind of stages, {any_of(_KEYS)}"
            yield Problem(where, path, f"unknown key{hint}")
        elif not isinstance(node.value, dict):
            yield Problem(where, path, f"found {describe_value(node.plain())}, expected a mapping of a stage's keys")
        for key, child in node.children.items() if kind in _KEYS else ():
            if key in _STAGE_ONLY:
                yield Problem(child.origin.text, f"{path}.{key}", f"{key} is set in each stage, not in defaults")
            elif key not in _KEYS[kind]:
                hint = did_you_mean(key, _KEYS[kind]) or f"; expected {any_of(_KEYS[kind])}"
                yield Problem(child.origin.text, f"{path}.{key}", f"unknown key{hint}")
