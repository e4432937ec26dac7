"""Which of a plan's steps a person asked for."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.errors import InputError
from pipelines.run.plan import PROMPTS, Plan, Step


@dataclass(frozen=True)
class Selection:
    """Which of the plan's steps a person asked for."""

    first: str | None = None
    """`--from`: the stage to begin with; the stages before it are taken as they are."""
    last: str | None = None
    """`--until`: the stage to end with."""
    fresh: bool = False
    """Begin anew, whatever is there; what is there is kept aside."""


def select(plan: Plan, selection: Selection) -> list[Step]:
    """The steps that were asked for, in order. Whatever the stages, all rows are prepared and all prompts counted."""
    names = [stage.name for stage in plan.recipe.stages]
    for name in filter(None, (selection.first, selection.last)):
        if name not in names:
            raise InputError(f"there is no stage {name!r}; the stages are {', '.join(names)}")
    first = names.index(selection.first) if selection.first else 0
    last = names.index(selection.last) if selection.last else len(names) - 1
    if first > last:
        raise InputError(f"stage {selection.first} comes after {selection.last}: nothing is between them")
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
