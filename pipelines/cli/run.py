"""`pipeline run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from pipelines.checks.preflight import find_problems
from pipelines.checks.teaching import judge_rows, refuse_few_rows
from pipelines.cli.chain import print_chains
from pipelines.cli.common import same_command
from pipelines.cli.environments import Gate, check_given, start_builds
from pipelines.cli.planning import plan_recipe, prepared_stages, used_environments
from pipelines.cli.runs.detaching import run_detached
from pipelines.cli.runs.ending import notifying, pointing_to, print_commands, print_run
from pipelines.digests import write_atomically
from pipelines.environments import Environment
from pipelines.errors import InputError, PipelineError
from pipelines.evaluation.requirements import check_requirements
from pipelines.evaluation.step_progress import StepProgress
from pipelines.recipe.loading import Loaded
from pipelines.records.claims import claim, find_conflict
from pipelines.records.holder import hold
from pipelines.records.steps import read_record
from pipelines.reports.card.keeping import keep_card
from pipelines.reports.live import LiveReport
from pipelines.run.description import describe_run
from pipelines.run.display import Detail, Display
from pipelines.run.execute import execute
from pipelines.run.origin import check_origin
from pipelines.run.plan import PROMPTS, Plan, Step
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
    strict: bool = False,
    adopt: bool = False,
    detached: bool = False,
    detail: Detail = "normal",
) -> None:
    """Load and check a recipe, build missing environments, run it, and print the path of the model.

    Args:
        first: The first stage.
        last: The last stage.
        adopt: Take over the run directory of another recipe file.
        detached: Run it in the background; the checks come first.
    """
    loaded, planned, environments = plan_recipe(path, sets, runs, smoke=smoke, quiet=detail == "quiet")
    plan = planned.plan
    steps, (_, names) = plan.select(first, last), plan.split_stages(first, last)
    environments = used_environments(environments, steps)
    problems = find_problems(loaded, plan.machine, environments, names, prepared_stages(steps))
    if conflict := find_conflict(plan.directory, loaded, adopt=adopt):
        problems.append(conflict)
    if problems := [*problems, *plan.find_missing_models(first, last), *planned.missing]:
        raise InputError("\n".join(problems))
    if plan.recipe.uses_cluster:
        _check_nodes(loaded, plan, environments, names)
    for line in [*planned.left_out, *([] if smoke else loaded.unusual())]:
        print(f"warning: {line}", file=sys.stderr)
    if strict and not fresh:
        check_origin(plan, steps)
    if detached:
        run_detached(plan.directory)
        return
    with (
        notifying(plan.recipe, plan.directory) as began,
        pointing_to(plan.directory),
        LiveReport(plan.directory) as live,
        signals_as_stopped(),
        hold(plan.directory),
    ):
        began()
        check_given(environments)
        claim(plan.directory, loaded.path)
        write_atomically(plan.directory / "recipe.yaml", loaded.text())
        describe_run(plan, steps, same_command(), smoke=smoke)
        display = Display(len(steps), detail=detail)
        if plan.recipe.report == "live":
            live.begin(display.say)
        try:
            with start_builds(environments, steps, display) as builds, _track(loaded, plan, display):
                warnings = execute(
                    plan,
                    steps,
                    display,
                    fresh=fresh,
                    wait=Gate(loaded, environments, builds, display, names).wait,
                    check=partial(_after_step, loaded, plan, steps, display),
                    progress=StepProgress().read,
                    watch=live.update,
                )
                builds.wait_all()
        finally:
            display.close()
    print_run(plan.directory)
    if loaded.recipe.evaluate is not None:
        print_chains(plan, [*planned.left_out, *warnings])
    if smoke:
        print_passed(path, sets, plan, steps)
        print_commands(plan.directory)
        return
    print(f"model: {plan.paths(last or plan.recipe.stages[-1].name).model}")
    if live.begun:
        print(f"report: {live.path}")
    print("next:")
    print_commands(plan.directory)


def _check_nodes(loaded: Loaded, plan: Plan, environments: dict[str, Environment], names: Sequence[str]) -> None:
    """Refuse nodes that differ from this machine, or do not share its files."""
    from pipelines.checks.cluster import check_cluster
    from pipelines.checks.findings import Report

    check_cluster(loaded, plan, environments, report := Report(), names)
    if report.problems:
        raise InputError("\n".join(report.problems))


def _track(loaded: Loaded, plan: Plan, display: Display) -> AbstractContextManager[None]:
    """Feed the recipe's trackers; without any, nothing is imported."""
    if not loaded.recipe.trackers:
        return nullcontext()
    from pipelines.trackers.processes import track

    return track(loaded.recipe, plan.directory, display.say)


def _check_rows(loaded: Loaded, plan: Plan, steps: Sequence[Step], display: Display, step: Step) -> None:
    """Refuse rows that cannot teach, if the run trains their stage and has not done so already."""
    for stage in plan.recipe.stages:
        training = next((each for each in steps if each.name == f"{stage.name}/train"), None)
        if step.stage not in (stage.name, None) or training is None:
            continue
        if (record := read_record(training.directory)) is not None and record.outcome == "complete":
            continue
        if step.prepares:
            for line in judge_rows(loaded, stage, plan.paths(stage.name)):
                display.say(f"  note: {line}")
        else:
            refuse_few_rows(loaded, stage, plan.paths(stage.name))


def _after_step(loaded: Loaded, plan: Plan, steps: Sequence[Step], display: Display, step: Step) -> None:
    """Keep the model card current; stop the run if rows cannot teach, or a requirement is not met."""
    if step.prepares or step.name == PROMPTS:
        _check_rows(loaded, plan, steps, display, step)
    try:
        keep_card(plan, step)
    except (OSError, PipelineError) as error:
        display.say(f"  note: the model card was not written: {error}")
    check_requirements(loaded, plan, step)
