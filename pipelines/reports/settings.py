"""The keys of recipes with their defaults, and how they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from pipelines.recipe import upstream_keys
from pipelines.recipe.nested import leaves
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.recipe.secrets import HIDDEN, is_secret
from pipelines.reports.page import Setting
from pipelines.reports.text import show

_LONGEST = 400
_MODELS: Mapping[str, type[SftStage | RlStage]] = {"sft": SftStage, "rl": RlStage}
_SECTIONS = ("verl", "llamafactory")


def list_settings(recipes: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """Return the keys of all recipes, in the order of the schema.

    Args:
        recipes: Resolved recipes as plain values, by run.
    """
    found = [dict(_walk(recipe)) for recipe in recipes]
    keys = list(dict.fromkeys(key for each in found for key in each))
    settings = []
    for key in sorted(keys, key=_order(keys)):
        values = [each[key][0] if key in each else None for each in found]
        default = next(each[key][1] for each in found if key in each)
        shown = [None if value is None else _text(key, value) for value in values]
        standard = None if default is None else _text(key, default)
        settings.append(
            Setting(
                key=show(key),
                values=shown,
                default=standard,
                changed=any(value is not None and value != standard for value in shown),
                differs=len(set(shown)) > 1,
            )
        )
    return settings


def _order(keys: Sequence[str]) -> Any:
    """Return a sort key that keeps the keys of one group together, groups in the order of their first key."""
    groups: dict[str, int] = {}
    for key in keys:
        groups.setdefault(_group(key), len(groups))
    places = {key: place for place, key in enumerate(keys)}
    return lambda key: (groups[_group(key)], places[key])


def _group(key: str) -> str:
    parts = key.split(".")
    return ".".join(parts[:2]) if parts[0] == "stages" else ""


def _walk(recipe: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield each key with its value and its default (None: it has none)."""
    yield from _walk_model("", recipe, Recipe, skip=("stages",))
    stages = recipe.get("stages")
    for stage in stages if isinstance(stages, list) else []:
        if not isinstance(stage, dict):
            continue
        prefix = f"stages.{stage.get('name', '')}."
        model = _MODELS.get(str(stage.get("kind")))
        if model is None:
            yield from ((f"{prefix}{key}", (value, None)) for key, value in _flatten(stage))
            continue
        yield from _walk_model(prefix, stage, model, skip=("name", *_SECTIONS))
        yield from _walk_upstream(prefix, stage)


def _walk_model(
    prefix: str, given: Mapping[str, Any], model: type[BaseModel], skip: Sequence[str] = ()
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        default = None if field.default is PydanticUndefined else field.default
        value, inner = given.get(name, default), _inner_model(field.annotation)
        if isinstance(value, BaseModel):
            value = value.model_dump(exclude_unset=True)
        if isinstance(value, dict) and inner is not None:
            # A group of keys: each has its own default.
            yield from _walk_model(f"{prefix}{name}.", value, inner)
        elif isinstance(value, dict):
            yield from ((f"{prefix}{name}.{key}", (each, None)) for key, each in _flatten(value))
        elif value is not None or default is not None:
            yield f"{prefix}{name}", (value, default)
    for name in sorted(given.keys() - {*model.model_fields, *skip}):
        yield f"{prefix}{name}", (given[name], None)


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """Return the one model of a field's type; None: it has none, or several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is list:
        return None
    found = [inner for each in get_args(annotation) if (inner := _inner_model(each)) is not None]
    return found[0] if len(found) == 1 else None


def _walk_upstream(prefix: str, stage: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for section, listed in upstream_keys.SECTIONS.get(str(stage.get("kind")), {}).items():
        known = upstream_keys.keys(listed)
        given = stage.get(section)
        for key, value in _flatten(given if isinstance(given, dict) else {}):
            yield f"{prefix}{section}.{key}", (value, known.get(key, {}).get("default"))


def _flatten(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((".".join(path), each) for path, each in leaves(value))


def _text(key: str, value: Any) -> str:
    """Return a value as the recipe has it, shortened; the value of a key that names a secret is hidden."""
    if is_secret(key) and isinstance(value, str):
        return HIDDEN
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return show(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
