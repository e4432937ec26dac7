"""Selecting steps of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.errors import InputError
from pipelines.run.plan import PROMPTS, Plan, Step


@dataclass(frozen=True)
class Selection:
    """The steps selected on the command line."""

    first: str | None = None
    """`--from`: the first stage; earlier stages are used as they are."""
    last: str | None = None
    """`--until`: the last stage."""
    fresh: bool = False
    """`--fresh`: run everything again; earlier results are moved to `replaced/`."""


def select(plan: Plan, selection: Selection) -> list[Step]:
    """Return the selected steps, in order. All rows are prepared and all prompts counted, whatever the stages.

    Raises:
        InputError: an unknown stage, or an earlier stage without a model.
    """
    names = [stage.name for stage in plan.recipe.stages]
    for name in filter(None, (selection.first, selection.last)):
        if name not in names:
            raise InputError(f"no stage {name!r}; the stages are {', '.join(names)}")
    first = names.index(selection.first) if selection.first else 0
    last = names.index(selection.last) if selection.last else len(names) - 1
    if first > last:
        raise InputError(f"--from {selection.first} comes after --until {selection.last}: no stage is selected")
    taken = set(names[:first])
    for name in names[:first]:
        if not plan.paths(name).model.is_dir():
            raise InputError(f"--from {selection.first}: stage {name} before it has no model yet; run it first")
    wanted = set(names[first : last + 1])
    return [
        step
        for step in plan.steps
        if (step.stage is None and (not taken or step.name == PROMPTS))
        or step.stage in wanted
        or (step.stage not in taken and _prepares(step))
    ]


def _prepares(step: Step) -> bool:
    return step.name.endswith("/prepare")
