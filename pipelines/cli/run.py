"""`pipeline run`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from pipelines.checks.preflight import find_problems, find_reward_problems
from pipelines.cli.chain import print_chains
from pipelines.cli.common import same_command
from pipelines.cli.planning import plan_recipe
from pipelines.digests import write_atomically
from pipelines.environments import Environment, sync
from pipelines.errors import InputError
from pipelines.evaluation.requirements import check_requirements
from pipelines.evaluation.step_progress import StepProgress
from pipelines.recipe.schema import SftStage
from pipelines.records.holder import hold
from pipelines.run.description import describe_run
from pipelines.run.display import Detail, Display
from pipelines.run.execute import execute
from pipelines.run.process import signals_as_stopped
from pipelines.smoke.summary import print_passed


def run_recipe(
    path: Path,
    sets: list[str],
    runs: Path,
    first: str | None,
    last: str | None,
    *,
    fresh: bool,
    smoke: bool,
    detail: Detail = "normal",
) -> None:
    """Load and check a recipe, build missing environments, run it, and print the path of the model."""
    loaded, planned, environments = plan_recipe(path, sets, runs, smoke=smoke, quiet=detail == "quiet")
    plan = planned.plan
    if problems := find_problems(loaded, plan.machine, environments):
        raise InputError("\n".join(problems))
    for line in planned.left_out:
        print(f"warning: {line}", file=sys.stderr)
    steps = plan.select(first, last)
    with signals_as_stopped(), hold(plan.directory):
        if _build(environments) and (unfit := find_reward_problems(loaded, environments)):
            raise InputError("\n".join(unfit))
        write_atomically(plan.directory / "recipe.yaml", loaded.text())
        describe_run(plan, steps, same_command(), smoke=smoke)
        display = Display(len(steps), detail=detail)
        try:
            warnings = execute(
                plan,
                steps,
                display,
                fresh=fresh,
                check=partial(check_requirements, loaded, plan),
                progress=StepProgress().read,
            )
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


def _build(environments: dict[str, Environment]) -> bool:
    """Build the pinned environments that are missing or out of date; return whether there were any. Check the others."""
    built = False
    for environment in environments.values():
        pin = environment.pin
        if environment.pinned and not environment.is_ready():
            sync(pin.trainer, environment.platform)
            built = True
        elif not environment.pinned and (version := environment.check()) != pin.version:
            print(f"note: {environment.python} has {pin.name} {version}; this project supports {pin.version}", file=sys.stderr)
    return built
