"""Two runs: the values of their recipes that differ, and the metrics of the stages that both have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from typing import Any, Literal

import msgspec

from pipelines.records.runs import Run, Stage
from pipelines.records.summaries import VERSION, StageSummary, summarise_stage

_VALIDATIONS = ("val-core/*", "val-aux/*/accuracy/*", "val/loss", "eval_loss")
"""Metrics of validations that are compared, besides the loss or the reward."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the recipes that differs."""

    key: str
    """Such as `stages.sft.learning_rate`."""
    first: Any
    """None: the first recipe has no such key."""
    second: Any


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a stage of one run."""

    last: float
    last_step: float
    best: float
    best_step: float


class MetricComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a stage of two runs."""

    name: str
    best: Literal["lowest", "highest"]
    first: Values | None
    """None: it was not logged."""
    second: Values | None


class StageComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A stage that both runs have."""

    name: str
    first: StageSummary
    second: StageSummary
    metrics: list[MetricComparison]


class RunComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs: the shape of `pipeline compare --json`."""

    version: Literal[1] = VERSION
    first: str
    """The run directory."""
    second: str
    recipe: list[Difference]
    stages: list[StageComparison]
    evaluations: dict[str, Any]
    """Evaluated model, such as `sft` -> what `pipeline evaluate --compare --json` prints."""
    refused: dict[str, str]
    """Evaluated model that cannot be compared -> why."""


def compare_recipes(first: Run, second: Run) -> list[Difference]:
    """Return the values that differ; a key that is not set has the value of its default."""
    before, after = (dict(_flatten(_with_defaults(run.recipe), "")) for run in (first, second))
    keys = dict.fromkeys([*before, *after])
    return [
        Difference(key=key, first=before.get(key), second=after.get(key)) for key in keys if before.get(key) != after.get(key)
    ]


def compare_stages(first: Run, second: Run) -> list[StageComparison]:
    """Return the stages that both runs have, with their metrics."""
    names = {each.name for each in second.stages}
    return [_compare_stage(each, second.stage(each.name)) for each in first.stages if each.name in names]


def _compare_stage(first: Stage, second: Stage) -> StageComparison:
    before, after = _read_values(first), _read_values(second)
    headlines = {name: None for stage in (first, second) if (name := stage.headline[1]) in {**before, **after}}
    return StageComparison(
        name=first.name,
        first=summarise_stage(first),
        second=summarise_stage(second),
        metrics=[
            MetricComparison(name=name, best=_best(name), first=before.get(name), second=after.get(name))
            for name in {**headlines, **before, **after}
        ],
    )


def _best(metric: str) -> Literal["lowest", "highest"]:
    return "lowest" if "loss" in metric else "highest"


def _read_values(stage: Stage) -> dict[str, Values]:
    """Return the metrics to compare of a stage."""
    found: dict[str, Values] = {}
    chosen: dict[str, bool] = {stage.headline[1]: True}
    for row in stage.metrics():
        for name, value in row.items():
            if name not in chosen:
                chosen[name] = any(fnmatch(name, pattern) for pattern in _VALIDATIONS)
            if chosen[name] and isinstance(value, int | float) and math.isfinite(value):
                found[name] = _add(found.get(name), name, row["step"], value)
    return found


def _add(values: Values | None, name: str, step: float, value: float) -> Values:
    is_better = values is None or (value < values.best if _best(name) == "lowest" else value > values.best)
    if values is None or is_better:
        return Values(last=value, last_step=step, best=value, best_step=step)
    return msgspec.structs.replace(values, last=value, last_step=step)


def _with_defaults(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a recipe with the defaults of keys that it does not set; unchanged if this version cannot read it."""
    from pydantic import ValidationError

    from pipelines.recipe.schema import Recipe

    try:
        return Recipe.model_validate(recipe).model_dump()
    except ValidationError:
        return recipe


def _flatten(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the values of a recipe, with stages by their names."""
    if isinstance(value, Mapping) and value:
        for name, child in value.items():
            yield from _flatten(child, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping) and "name" not in value[0]:
        yield from _flatten(value[0], key)
    elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        for place, each in enumerate(value):
            yield from _flatten(each, f"{key}.{each['name']}" if key == "stages" and "name" in each else f"{key}[{place}]")
    elif value not in (None, {}, []):
        yield key, value
