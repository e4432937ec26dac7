"""The configuration of a stage as trackers show it: flat, without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.recipe.nested import leaves
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.recipe.secrets import HIDDEN, is_secret
from pipelines.trackers.base import Value


def flatten_stage(recipe: Recipe, stage: SftStage | RlStage) -> dict[str, Value]:
    """Return the settings of a stage and those that all stages share, with dotted keys."""
    shared = recipe.model_dump(mode="json", include={"name", "model", "seed", "hardware"})
    return dict(_to_values({"recipe": shared, **stage.model_dump(mode="json")}))


def _to_values(settings: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    for path, value in leaves(settings):
        name = ".".join(path)
        if isinstance(value, str) and is_secret(name):
            yield name, HIDDEN
        elif isinstance(value, list | dict):
            yield name, json.dumps(_hide(value), ensure_ascii=False)
        elif value is not None:
            yield name, value


def _hide(value: Any) -> Any:
    """Return a list or a mapping without the secrets in it."""
    if isinstance(value, list):
        return [_hide(each) for each in value]
    if isinstance(value, dict):
        return {key: HIDDEN if isinstance(each, str) and is_secret(str(key)) else _hide(each) for key, each in value.items()}
    return value
