"""`pipeline check`: find what is wrong with a run before anything is trained."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from pipelines.checks.cluster import check_cluster
from pipelines.checks.cores import check_cores
from pipelines.checks.estimates import check_memory, parse_gpu_memory
from pipelines.checks.findings import Finding, Report
from pipelines.checks.hub import Hub
from pipelines.checks.preflight import find_problems
from pipelines.checks.resources import check_disk, check_environments, check_gpus
from pipelines.checks.rewards import check_rewards, is_unchecked, print_stage, rows_by_source
from pipelines.checks.samples import COUNTED, ROWS, Sample, open_sample
from pipelines.checks.teaching import report_rows
from pipelines.checks.upstreams import TrainerChecks
from pipelines.cli.common import Stages, run_command
from pipelines.cli.planning import prepared_stages, used_environments
from pipelines.console import tables
from pipelines.console.progress import bar
from pipelines.environments import Environment
from pipelines.errors import InputError, StepError
from pipelines.evaluation.steps import add_evaluations
from pipelines.recipe.loading import Loaded, load
from pipelines.recipe.schema import RlStage
from pipelines.records.claims import find_conflict
from pipelines.run.machine import choose_platform, find_environments, find_machine
from pipelines.run.plan import Plan, make_plan
from pipelines.smoke.summary import print_changes
from rewards import sandbox
from rewards.trial.stage import Checked

# A converter may run programs for every row.
_COUNT_SECONDS = 10.0


def check_recipe(
    path: Path,
    sets: list[str],
    count: int,
    runs: Path,
    between: Stages = (None, None),
    *,
    smoke: bool = False,
    gpu_memory: float | None = None,
) -> None:
    """Print all findings and the next command.

    Args:
        path: The recipe.
        sets: `key=value` options.
        count: Rows of each source to check the rewards on.
        runs: The parent of the run directories.
        between: The first and the last stage to check.
        smoke: Check the tiny version of the recipe.
        gpu_memory: Gigabytes of each GPU; None: those of this machine, if it has any.

    Raises:
        InputError: The recipe has mistakes, or a trainer rejects it; all of them, a line each.
        StepError: A run would fail on this machine or be useless.
    """
    loaded = load(path, sets)
    if smoke:
        loaded = print_changes(loaded)
    report, recipe = Report(), loaded.recipe
    environments = find_environments(recipe, choose_platform(recipe))
    machine = find_machine(environments)
    with loaded.locating():
        plan = make_plan(recipe, machine, runs.absolute() / recipe.name)
    before, selected = plan.split_stages(*between)
    stages = [stage for stage in recipe.stages if stage.name in selected]
    steps = plan.select(*between)
    environments = used_environments(environments, steps)
    hub = Hub(recipe, stages)
    for problem in find_problems(loaded, machine, environments, selected, prepared_stages(steps)):
        report.add_problem(problem)
    if conflict := find_conflict(plan.directory, loaded):
        report.add_problem(conflict)
    report.findings += [
        check_gpus(max(map(recipe.hardware_of, stages), key=lambda each: each.gpus_per_node), machine.platform),
        *check_cores(stages, recipe, machine.platform),
        check_disk(plan, stages),
        *check_environments(environments),
        *(check_memory(plan, stage, parse_gpu_memory(gpu_memory)) for stage in stages),
    ]
    with bar("asking the nodes"):
        check_cluster(loaded, plan, environments, report, selected)
    report.findings += _check_earlier(plan, before)
    report.findings += _check_evaluations(loaded, plan, report)
    report.findings += _check_trackers(loaded)
    report.findings += [] if smoke else [Finding("machine", "unusual", line, "note") for line in loaded.unusual()]
    sandbox.configure(sandbox.Settings(**recipe.sandbox.model_dump()))
    samples = [open_sample(loaded, stage) for stage in stages]
    try:
        with tempfile.TemporaryDirectory(prefix="pipeline-check-") as folder:
            rows = {sample.stage.name: sample.read(ROWS, report, _COUNT_SECONDS) for sample in samples}
            with closing(
                TrainerChecks(loaded, make_plan(recipe, machine, Path(folder, "run")), rows, environments, stages)
            ) as trainers:
                checked = _check_rows(loaded, samples, count, environments.get("verl"), report)
                report.findings += hub.findings()
                with bar("waiting for the trainers"):
                    trainers.collect(report)
    except sandbox.SandboxError as error:
        raise StepError(f"{error}; see `pipeline doctor`") from error
    finally:
        sandbox.close_all()
    _conclude(report, loaded, checked, run_command(path, sets, runs, between, smoke=smoke))


def _check_earlier(plan: Plan, before: list[str]) -> list[Finding]:
    """Check the models of the stages before --from, which a run would use as they are."""
    missing = [name for name in before if not plan.paths(name).model.is_dir()]
    return [Finding("machine", f"model of {name}", "not there yet; run this stage first", "note") for name in missing]


def _check_evaluations(loaded: Loaded, plan: Plan, report: Report) -> list[Finding]:
    """Check the recipe's evaluation sets; those without a source here are left out of a run."""
    try:
        planned = add_evaluations(loaded, plan)
    except InputError as error:
        report.add_problem(str(error))
        return []
    for line in planned.missing:
        report.add_problem(line)
    return [Finding("machine", "evaluation sets", line, "note") for line in planned.left_out]


def _check_trackers(loaded: Loaded) -> list[Finding]:
    """Ask the servers of the trackers for an answer; a run does not depend on it."""
    if not loaded.recipe.trackers:
        return []
    from pipelines.trackers.readiness import find_unreachable

    return [Finding("machine", name, line, "note") for name, line in find_unreachable(loaded)]


def _check_rows(
    loaded: Loaded, samples: list[Sample], count: int, verl: Environment | None, report: Report
) -> dict[str, list[Checked]]:
    """Count rows and check each stage's rewards, while the trainers work."""
    checked = {}
    for sample in samples:
        with bar(f"counting the rows of {sample.stage.name}"):
            sample.read(COUNTED, report, _COUNT_SECONDS / len(samples))
        report.findings += sample.findings()
        report_rows(loaded, sample.stage, sample.facts(), report)
        if isinstance(sample.stage, RlStage):
            rows = rows_by_source(sample.read(count, report))
            checked[sample.stage.name] = check_rewards(sample.stage, rows, loaded.recipe.sandbox, verl)
    return checked


def _conclude(report: Report, loaded: Loaded, checked: dict[str, list[Checked]], command: str) -> None:
    """Print the findings, then raise what is wrong or print the next command."""
    order = ["machine", *(stage.name for stage in loaded.recipe.stages)]
    report.findings.sort(key=lambda each: order.index(each.about))
    report.print()
    errors = report.errors([line for name, found in checked.items() for line in print_stage(name, found)])
    if report.problems:
        raise InputError("\n".join(errors))
    if errors:
        raise StepError("\n".join([*errors[:-1], f"{errors[-1]}; fix {'these' if errors[1:] else 'this'} before training"]))
    partly = report.unchecked or any(is_unchecked(each) for found in checked.values() for each in found)
    tables.say(f"no problems found{' in what could be checked' if partly else ''}; next: {command}")
