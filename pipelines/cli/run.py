"""`pipeline run` and `pipeline plan`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from pipelines.checks.preflight import find_problems
from pipelines.cli.chain import print_chains
from pipelines.cli.common import same_command
from pipelines.cli.environments import Gate, check_given, start_builds
from pipelines.digests import Digests, write_atomically
from pipelines.environments import Environment
from pipelines.errors import InputError
from pipelines.evaluation.requirements import check_requirements
from pipelines.evaluation.step_progress import StepProgress
from pipelines.evaluation.steps import Planned, add_evaluations
from pipelines.recipe.loading import Loaded, load
from pipelines.recipe.schema import SftStage
from pipelines.records.holder import hold
from pipelines.run.description import describe_run
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import make_plan
from pipelines.run.plan_text import find_reasons, render_plan
from pipelines.run.process import signals_as_stopped
from pipelines.smoke.summary import print_changes, print_passed


def run_recipe(
    path: Path, sets: list[str], runs: Path, first: str | None, last: str | None, *, fresh: bool, smoke: bool
) -> None:
    """Load and check a recipe, build missing environments, run it, and print the path of the model."""
    loaded, planned, environments, problems = _open(path, sets, runs, smoke)
    plan = planned.plan
    if problems:
        raise InputError("\n".join(problems))
    for line in planned.left_out:
        print(f"warning: {line}", file=sys.stderr)
    steps = plan.select(first, last)
    with signals_as_stopped(), hold(plan.directory):
        check_given(environments)
        write_atomically(plan.directory / "recipe.yaml", loaded.text())
        describe_run(plan, steps, same_command(), smoke=smoke)
        display = Display(len(steps))
        try:
            with start_builds(environments, steps, display) as builds:
                warnings = execute(
                    plan,
                    steps,
                    display,
                    fresh=fresh,
                    wait=Gate(loaded, environments, builds, display).wait,
                    check=partial(check_requirements, loaded, plan),
                    progress=StepProgress().read,
                )
                builds.wait_all()
        finally:
            display.close()
    if loaded.recipe.evaluate is not None:
        print_chains(plan, [*planned.left_out, *warnings])
    if smoke:
        print_passed(path, sets, plan, steps)
        return
    model, python = plan.paths(last or plan.recipe.stages[-1].name).model, plan.machine.pythons.get("llamafactory")
    print(f"model: {model}")
    if python is not None:
        templates = [stage.template for stage in plan.recipe.stages if isinstance(stage, SftStage) and stage.template]
        template = f" --template {templates[-1]}" if templates else ""
        print(f"chat with it: {python} -m llamafactory.cli chat --model_name_or_path {model}{template}")


def print_plan(path: Path, sets: list[str], runs: Path, first: str | None, last: str | None, *, smoke: bool) -> None:
    """Print what `run_recipe` would do."""
    _, planned, _, problems = _open(path, sets, runs, smoke)
    plan = planned.plan
    for line in planned.left_out:
        print(f"warning: {line}", file=sys.stderr)
    steps = plan.select(first, last)
    print(render_plan(plan, steps, find_reasons(plan, steps, Digests(plan.directory / "digests.json")), problems))


def _open(path: Path, sets: list[str], runs: Path, smoke: bool) -> tuple[Loaded, Planned, dict[str, Environment], list[str]]:
    loaded = load(path, sets)
    if smoke:
        loaded = print_changes(loaded)
    environments = find_environments(loaded.recipe)
    plan = make_plan(loaded.recipe, find_machine(environments), runs.absolute() / loaded.recipe.name)
    return loaded, add_evaluations(loaded, plan), environments, find_problems(loaded, plan.machine, environments)
