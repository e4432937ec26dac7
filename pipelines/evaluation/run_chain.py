"""The models of a run on the sets of its recipe, for the table at the end of the run."""

from __future__ import annotations

import shlex
from pathlib import Path

from pipelines.evaluation.chain import Link, read_chain
from pipelines.evaluation.spec import SUMMARY
from pipelines.evaluation.steps import BASE, Stage, evaluated_stages, evaluation_folder, evaluation_target
from pipelines.evaluation.summary import read_summary
from pipelines.run.plan import Plan


def read_chains(plan: Plan) -> list[list[Link]]:
    """Return the evaluated models of a run, from the first to each that no other stage starts from."""
    return [links for models in _list_chains(plan) if (links := read_chain([(name, folder) for name, folder, _ in models]))]


def next_command(plan: Plan) -> str | None:
    """Return the command that compares the last evaluated model with the first on a set of both; None if no two have one."""
    models = next(iter(_list_chains(plan)[-1:]), [])
    if not models:
        return None
    sets = {label: read_summary(folder).sets.keys() for _, folder, label in models}
    *earlier, last = sets
    first = next((each for each in earlier if sets[each] & sets[last]), None)
    if first is None:
        return None
    run = plan.directory.relative_to(Path.cwd()) if plan.directory.is_relative_to(Path.cwd()) else plan.directory
    return shlex.join(["pipeline", "evaluate", "--compare", f"{run}/{first}", f"{run}/{last}"])


def _list_chains(plan: Plan) -> list[list[tuple[str, Path, str]]]:
    """Return name, evaluation and target of each model of each chain, as far as they were evaluated."""
    recipe, evaluated = plan.recipe, evaluated_stages(plan)
    evaluate = recipe.evaluate
    if evaluate is None:
        return []
    starts = [recipe.previous(each) for each in recipe.stages]
    base = plan.initial_model(recipe.stages[0])
    chains = []
    for last in (each for each in recipe.stages if each not in starts):
        lineage = recipe.lineage(last)[::-1]
        models: list[Stage | None] = [each for each in lineage if each in evaluated]
        if evaluate.before and plan.initial_model(lineage[0]) == base:
            models.insert(0, None)
        found = [
            (BASE if each is None else each.name, evaluation_folder(plan, each), evaluation_target(plan, each).label)
            for each in models
        ]
        chains.append([each for each in found if (each[1] / SUMMARY).is_file()])
    return chains
