"""`pipeline check`: everything that can be found wrong with a run before anything is trained."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

from pipelines.checks.disk import check_disk
from pipelines.checks.findings import Report
from pipelines.checks.hardware import check_environments, check_gpus
from pipelines.checks.hub import Hub
from pipelines.checks.preflight import find_problems
from pipelines.checks.rewards import as_scored, check_rewards, is_unchecked, print_stage
from pipelines.checks.samples import COUNTED, ROWS, Sample, open_sample
from pipelines.checks.upstreams import Asking
from pipelines.console import tables
from pipelines.console.progress import bar
from pipelines.environments import Environment
from pipelines.errors import InputError, StepError
from pipelines.recipe.loading import Loaded, load
from pipelines.recipe.schema import RlStage
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import make_plan
from rewards import sandbox
from rewards.trial.stage import Checked

# A converter may run programs for every row.
_COUNT_SECONDS = 10.0


def check_recipe(path: Path, sets: list[str], count: int, runs: Path) -> None:
    """Prints what was found, the check of each stage's rewards on `count` rows of every source, and what to type next.

    Raises:
        InputError: mistakes in the recipe, all of them; a trainer's refusals among them.
        StepError: a run would fail on this machine, or not be worth its time.
    """
    loaded = load(path, sets)
    report, recipe = Report(), loaded.recipe
    environments = find_environments(recipe)
    machine = find_machine(recipe, environments)
    plan = make_plan(recipe, machine, runs.absolute() / recipe.name)
    hub = Hub(recipe)
    for problem in find_problems(loaded, machine, environments):
        report.refuse(problem)
    report.add([check_gpus(recipe.hardware, machine.platform), check_disk(plan), *check_environments(environments)])
    sandbox.configure(sandbox.Settings(**recipe.sandbox.model_dump()))
    samples = [open_sample(loaded, stage) for stage in recipe.stages]
    try:
        with tempfile.TemporaryDirectory(prefix="pipeline-check-") as folder:
            rows = {sample.stage.name: sample.read(ROWS, report, _COUNT_SECONDS) for sample in samples}
            asking = Asking(loaded, make_plan(recipe, machine, Path(folder, "run")), rows, environments)
            try:
                checked = _look_meanwhile(loaded, samples, count, environments.get("verl"), report)
                report.add(hub.findings())
                with bar("asking the trainers", None):
                    asking.findings(report)
            finally:
                asking.close()
    except sandbox.SandboxError as error:
        raise StepError(f"{error}; see `pipeline doctor`") from error
    finally:
        sandbox.close_all()
    _conclude(report, loaded, checked, shlex.join(_words(path, sets, runs)))


def _look_meanwhile(
    loaded: Loaded, samples: list[Sample], count: int, verl: Environment | None, report: Report
) -> dict[str, list[Checked]]:
    """While the trainers are asked: how many rows there are, and each stage's rewards on the first of them."""
    checked = {}
    for sample in samples:
        with bar(f"counting the rows of {sample.stage.name}", None):
            sample.read(COUNTED, report, _COUNT_SECONDS / len(samples))
        report.add(sample.findings())
        if isinstance(sample.stage, RlStage):
            rows = as_scored(sample.read(count, report))
            checked[sample.stage.name] = check_rewards(sample.stage, rows, loaded.recipe.sandbox, verl)
    return checked


def _conclude(report: Report, loaded: Loaded, checked: dict[str, list[Checked]], following: str) -> None:
    """Prints everything, what is wrong last."""
    order = ["machine", *(stage.name for stage in loaded.recipe.stages)]
    report.findings.sort(key=lambda each: order.index(each.about))
    report.print()
    wrong = report.wrong
    for name, found in checked.items():
        wrong += print_stage(name, found)
    if report.problems:
        raise InputError("\n".join(report.problems))
    if wrong:
        more = f" ({len(wrong):,} such findings in all)" if len(wrong) > 1 else ""
        raise StepError(f"{wrong[0]}{more}; mend this before you train")
    partly = report.unchecked or any(is_unchecked(each) for found in checked.values() for each in found)
    said = "nothing is wrong with what could be checked" if partly else "nothing is wrong"
    tables.say(f"{said}; next: {following}")


def _words(path: Path, sets: list[str], runs: Path) -> list[str]:
    where = [] if runs == Path("runs") else ["--runs", str(runs)]
    return ["pipeline", "run", str(path), *(word for each in sets for word in ("--set", each)), *where]
