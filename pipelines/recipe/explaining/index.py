"""All keys of a recipe, from the schema: where each is set, its type, default and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.recipe.explaining.key_types import KeyType, describe_type
from pipelines.recipe.json_schema import DEFAULTS, EXTENDS
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.recipe.schema_lookup import is_list, is_model, matching_types
from preprocess.config import Model

STAGES: dict[str, type[Model]] = {"sft": SftStage, "rl": RlStage}
"""Kind of stage -> its model."""

_KIND = "Supervised fine-tuning (sft) or reinforcement learning (rl)."


@dataclass(frozen=True)
class Key:
    """A key of a recipe."""

    path: tuple[str, ...]
    """Without the stage's name: `("stages", "rollout", "samples")`."""
    type: KeyType
    meaning: str
    stages: tuple[str, ...] = ()
    """The kinds of the stages that have it; empty: it is not in a stage."""
    required: bool = False
    default: Any = None
    """As plain data."""
    keys: tuple[str, ...] = ()
    """Of a mapping: the keys in it."""

    @property
    def name(self) -> str:
        """The key as in `--set`, with STAGE for the name of a stage: `stages.STAGE.rollout.samples`."""
        first, *rest = self.path
        return ".".join(["stages", "STAGE", *rest] if self.stages else [first, *rest])

    @property
    def short(self) -> str:
        """The key as it is written in its stage or recipe: `rollout.samples`."""
        return ".".join(self.path[1:] if self.stages else self.path)


@cache
def recipe_keys() -> tuple[Key, ...]:
    """Return all keys; one that is the same in both kinds of stages is listed once."""
    text = KeyType("text or a list of text")
    found = [Key(("extends",), text, EXTENDS), *_walk(Recipe, (), ())]
    found.append(Key(("defaults",), KeyType("a mapping"), DEFAULTS, keys=tuple(STAGES)))
    merged: dict[tuple[Any, ...], Key] = {}
    for key in found:
        same = (key.path, key.type, key.meaning, repr(key.default), key.keys, bool(key.stages))
        before = merged.get(same)
        merged[same] = key if before is None else replace(before, stages=tuple(dict.fromkeys((*before.stages, *key.stages))))
    return tuple(merged.values())


def _walk(model: type[Model], above: tuple[str, ...], stages: tuple[str, ...]) -> Iterator[Key]:
    meanings = model.describe_fields()
    for name, field in model.model_fields.items():
        path = (*above, name)
        if path == ("stages", "kind"):
            yield Key(path, KeyType("text", values=tuple(STAGES)), _KIND, tuple(STAGES), required=True)
            continue
        inner = _models(field)
        keys = tuple(dict.fromkeys(key for each in inner for key in each.model_fields))
        yield Key(
            path=path,
            type=describe_type(field.annotation, tuple(field.metadata)),
            meaning=" ".join(meanings.get(name, "").split()),
            stages=stages,
            required=field.is_required(),
            default=_plain(field),
            keys=keys,
        )
        for each in inner:
            kinds = tuple(kind for kind, stage in STAGES.items() if stage is each)
            yield from _walk(each, path, kinds or stages)


def _models(field: FieldInfo) -> list[type[Model]]:
    """Return the models that a value of the field, or an item of it, may be."""
    found = []
    for kind, _ in matching_types(field.annotation, tuple(field.metadata)):
        items = matching_types(get_args(kind)[0]) if is_list(kind) else [(kind, ())]
        found += [each for each, _ in items if is_model(each)]
    return list(dict.fromkeys(found))


def _plain(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    return field.default.model_dump(exclude_defaults=True) if isinstance(field.default, BaseModel) else field.default
