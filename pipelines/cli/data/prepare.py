"""`pipeline data prepare`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from pipelines.checks.preflight import find_data_problems
from pipelines.cli.common import run_command
from pipelines.cli.data import outcomes
from pipelines.console import tables
from pipelines.digests import write_atomically
from pipelines.environments import Environment, find_with_ray
from pipelines.errors import InputError
from pipelines.recipe.loading import load
from pipelines.records.claims import claim, find_conflict
from pipelines.records.holder import hold
from pipelines.run import row_counts
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import Step, make_plan
from pipelines.run.process import signals_as_stopped
from rewards.suggestions import suggestion


def prepare_rows(path: Path, sets: list[str], stage: str | None, runs: Path, ray: str | None, *, adopt: bool = False) -> None:
    """Prepare the rows of a recipe's stages, as a run would, and print the counts.

    Args:
        ray: the address of a Ray cluster to convert on.
        adopt: take over the run directory of another recipe file.

    Raises:
        InputError: mistakes in the recipe, or an unknown stage.
        StepError: a preparation failed; earlier ones stay complete.
    """
    loaded = load(path, sets)
    names = [each.name for each in loaded.recipe.stages]
    if stage is not None and stage not in names:
        raise InputError(f"no stage {stage!r}{suggestion(stage, names)}")
    if problems := find_data_problems(loaded, None if stage is None else [stage]):
        raise InputError("\n".join(problems))
    environments = find_environments(loaded.recipe)
    with loaded.locating():
        plan = make_plan(loaded.recipe, find_machine(environments), runs.absolute() / loaded.recipe.name)
    if conflict := find_conflict(plan.directory, loaded, adopt=adopt):
        raise InputError(conflict)
    steps = [step for step in plan.steps if step.prepares and stage in (None, step.stage)]
    if ray is not None:
        steps = [_move(step, ray) for step in steps]
    _check_fetching(steps, environments)
    with signals_as_stopped(), hold(plan.directory):
        claim(plan.directory, loaded.path)
        write_atomically(plan.directory / "recipe.yaml", loaded.text())
        display = Display(len(steps), sys.stderr)
        try:
            execute(plan, steps, display)
        finally:
            display.close()
    outcomes.print_preparations({str(step.stage): row_counts.read_summary(step) for step in steps})
    for step in steps:
        folder = step.outputs[0]
        tables.say(f"{step.stage}: {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    tables.say(f"next: {run_command(path, sets, runs)}")


def _move(step: Step, address: str) -> Step:
    """Return the step, executed on a cluster. Its output is the same, so its cache key is unchanged."""
    config = json.loads(step.launch.files["prepare.json"])
    config["ray"] = {"address": address, "python": str(find_with_ray().python)}
    files = {**step.launch.files, "prepare.json": json.dumps(config, indent=1) + "\n"}
    return replace(step, launch=replace(step.launch, files=files))


def _check_fetching(steps: list[Step], environments: dict[str, Environment]) -> None:
    """Check the Pythons that download from the hub.

    Raises:
        InputError: such an environment is not built.
    """
    for step in steps:
        if hub := json.loads(step.launch.files["prepare.json"]).get("hub"):
            environment = next(each for each in environments.values() if str(each.python) == hub["python"])
            if reason := environment.why_not_ready():
                raise InputError(
                    f"{step.name} downloads from the hub with {environment.python}: {reason}; `{environment.sync_command}`"
                )
