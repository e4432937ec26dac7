"""`pipeline run`, `pipeline plan` and `pipeline schema`."""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.checks.preflight import find_problems, find_reward_problems
from pipelines.digests import Digests, write_atomically
from pipelines.environments import Environment, sync
from pipelines.errors import InputError
from pipelines.recipe.loading import Loaded, load
from pipelines.run import plan_text
from pipelines.run.display import Display
from pipelines.run.execute import hold, run
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import Plan, make_plan
from pipelines.run.process import signals_as_stopped
from pipelines.run.selection import Selection, select
from pipelines.smoke.summary import print_changes, print_passed


def run_recipe(path: Path, sets: list[str], selection: Selection, runs: Path, *, smoke: bool = False) -> None:
    """Load and check a recipe, build missing environments, run it, and print the path of the model."""
    loaded, plan, environments, problems = _open(path, sets, runs, smoke)
    if problems:
        raise InputError("\n".join(problems))
    steps = select(plan, selection)
    with signals_as_stopped(), hold(plan.directory):
        if _build(environments) and (unfit := find_reward_problems(loaded, environments)):
            raise InputError("\n".join(unfit))
        write_atomically(plan.directory / "recipe.yaml", loaded.text())
        display = Display(len(steps))
        try:
            run(plan, selection, display)
        finally:
            display.close()
    if smoke:
        print_passed(path, sets, plan, steps)
    else:
        _print_end(plan, selection)


def print_plan(path: Path, sets: list[str], selection: Selection, runs: Path, *, smoke: bool = False) -> None:
    """Print what `run_recipe` would do."""
    _, plan, _, problems = _open(path, sets, runs, smoke)
    steps = select(plan, selection)
    digests = Digests(plan.directory / "digests.json")
    print(plan_text.render_plan(plan, steps, plan_text.find_reasons(plan, steps, digests), problems))


def print_schema() -> None:
    """Print the JSON Schema of recipes."""
    from pipelines.recipe.json_schema import dump_schema

    print(dump_schema(), end="")


def _open(path: Path, sets: list[str], runs: Path, smoke: bool) -> tuple[Loaded, Plan, dict[str, Environment], list[str]]:
    loaded = load(path, sets)
    if smoke:
        loaded = print_changes(loaded)
    environments = find_environments(loaded.recipe)
    machine = find_machine(loaded.recipe, environments)
    plan = make_plan(loaded.recipe, machine, runs.absolute() / loaded.recipe.name)
    return loaded, plan, environments, find_problems(loaded, machine, environments)


def _build(environments: dict[str, Environment]) -> bool:
    """Build the pinned environments that are missing or out of date; return whether there were any. Check the others."""
    built = False
    for environment in environments.values():
        if environment.pinned and not environment.is_ready():
            sync(environment.pin.trainer, environment.platform)
            built = True
        elif not environment.pinned and (there := environment.check()) != environment.pin.version:
            pin = environment.pin
            print(f"note: {environment.python} has {pin.name} {there}; this project supports {pin.version}", file=sys.stderr)
    return built


def _print_end(plan: Plan, selection: Selection) -> None:
    last = selection.last or plan.recipe.stages[-1].name
    model = plan.paths(last).model
    print(f"model: {model}")
    python = plan.machine.pythons.get("llamafactory")
    if python is not None:
        print(f"chat with it: {python} -m llamafactory.cli chat --model_name_or_path {model} --template qwen")
