"""`override_config` of verl's models: values that replace those of the model's own config.json (v0.9.1, utils/model.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.models.folder import find_model_folder, read_json_object
from pipelines.recipe.nested import get_path
from pipelines.recipe.nodes import Loc
from pipelines.recipe.problems import Found, describe_value
from pipelines.recipe.schema import Recipe, RlStage, SftStage, TinyModel
from rewards.suggestions import did_you_mean

_MODELS = {"rl": ("actor_rollout_ref.model", "critic.model"), "sft": ("model",)}
_OF_VERL = ("attn_implementation", "model_config")
_KINDS: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("true or false", bool),
    ("a number", (int, float)),
    ("text", str),
    ("a mapping", dict),
    ("a list", list),
)


def find_wrong_types(stage: SftStage | RlStage, recipe: Recipe) -> Found:
    """Yield values of another type than the model's own."""
    for loc, given, own in _compare(stage, recipe):
        if own is None or given is None or (isinstance(given, str) and "${" in given):
            continue
        expected, kind = next(pair for pair in _KINDS if isinstance(own, pair[1]))
        one_of_several = (isinstance(own, list) and isinstance(given, int)) or (
            isinstance(own, int) and isinstance(given, list)
        )
        if (not isinstance(given, kind) or isinstance(given, bool) != isinstance(own, bool)) and not one_of_several:
            yield loc, f"found {describe_value(given)}, expected {expected}: the model's config.json has {describe_value(own)}"


def find_unknown(stage: SftStage | RlStage, recipe: Recipe) -> Found:
    """Yield keys that the model's config.json does not have; it may leave out keys with defaults."""
    for loc, _, own in _compare(stage, recipe, unknown=True):
        yield loc, f"the model's config.json has no such key{did_you_mean(loc[-1], own)}"


def _compare(stage: SftStage | RlStage, recipe: Recipe, *, unknown: bool = False) -> Iterator[tuple[Loc, Any, Any]]:
    """Yield the place and the value of each key, and the model's own value; of unknown keys, the known ones instead."""
    model = recipe.base_model(stage)
    folder = None if isinstance(model, TinyModel) else find_model_folder(model, recipe.base_revision(stage))
    own = read_json_object(folder / "config.json") if folder is not None and stage.verl else {}
    for group in _MODELS[stage.kind] if own else ():
        given = get_path(stage.verl, f"{group}.override_config")
        if get_path(stage.verl, "critic.model.path") is None or group != "critic.model":
            yield from _walk(given, own, ("verl", *group.split("."), "override_config"), unknown)


def _walk(given: Any, own: Mapping[str, Any], loc: Loc, unknown: bool) -> Iterator[tuple[Loc, Any, Any]]:
    for key, value in given.items() if isinstance(given, Mapping) else ():
        if key == "model_config":
            yield from _walk(value, own, (*loc, key), unknown)
        elif key in _OF_VERL:
            continue
        elif key not in own:
            if unknown:
                yield (*loc, key), value, own
        elif isinstance(value, Mapping) and isinstance(own[key], Mapping):
            yield from _walk(value, own[key], (*loc, key), unknown)
        elif not unknown:
            yield (*loc, key), value, own[key]
