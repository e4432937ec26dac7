"""`evaluate.require` of a recipe: whether the model of a stage reached what the next stage depends on."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import InputError, StepError
from pipelines.evaluation.comparison import compare
from pipelines.evaluation.rendering import own_name
from pipelines.evaluation.statistics import Figure
from pipelines.evaluation.steps import BASE, STEP, Stage, evaluated_stages, evaluation_folder, own_stages
from pipelines.evaluation.summary import read_summary
from pipelines.recipe.evaluating import OWN, Requirement, read_requirements
from pipelines.recipe.loading import Loaded
from pipelines.run.plan import Plan, Step


def check_requirements(loaded: Loaded, plan: Plan, step: Step) -> None:
    """Check the requirements after an evaluation; any other step has none.

    Raises:
        StepError: A figure is too low, or was not measured.
    """
    evaluate = plan.recipe.evaluate
    stage = next((each for each in plan.recipe.stages if step.name == f"{each.name}/{STEP}"), None)
    if evaluate is None or stage is None:
        return
    previous = find_previous(plan, stage)
    for each in read_requirements(evaluate):
        key = f"{each.set}.{each.figure}"
        where = f"{loaded.where('evaluate', 'require', key)}: evaluate.require"
        try:
            problem = _find_problem(plan, stage, each, previous)
        except InputError as error:
            raise StepError(f"{where}: {key} of {stage.name} was not measured: {error}") from None
        if problem:
            raise StepError(f"{where}: {key} of {stage.name} is {problem}")


def find_previous(plan: Plan, stage: Stage) -> tuple[str, Path] | None:
    """Return name and evaluation of the last evaluated model before that of a stage; None if no earlier one was evaluated."""
    _, *earlier = lineage = plan.recipe.lineage(stage)
    evaluated = evaluated_stages(plan)
    for each in earlier:
        if each in evaluated:
            return each.name, evaluation_folder(plan, each)
    evaluate = plan.recipe.evaluate
    is_base = plan.initial_model(lineage[-1]) == plan.initial_model(plan.recipe.stages[0])
    return (BASE, evaluation_folder(plan, None)) if evaluate and evaluate.before and is_base else None


def _find_problem(plan: Plan, stage: Stage, required: Requirement, previous: tuple[str, Path] | None) -> str | None:
    """Return what the figure is and what was expected; None if it is high enough or there is nothing to compare with."""
    name = own_name(plan.recipe, own_stages(plan, stage)[0]) if required.set == OWN else required.set
    folder = evaluation_folder(plan, stage)
    figure = read_summary(folder).set(name).figure(required.figure)
    if not required.relative:
        return None if required.allows(figure.value) else f"{_show(figure)}, expected {required.text}"
    if previous is None:
        return None
    compared = compare(previous[1], folder)
    if name not in compared.sets:
        raise InputError(compared.refused.get(name, f"{previous[0]} was not evaluated on {name}"))
    found = compared.sets[name].figures[required.figure]
    if required.allows(found.second, found.first):
        return None
    unclear = "" if found.difference.has_sign else ", which is not distinguishable from no difference"
    return (
        f"{_show(figure)}, expected {required.text}: {found.first:.3f} of {previous[0]}; "
        f"the difference is {_show(found.difference)}{unclear}"
    )


def _show(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
