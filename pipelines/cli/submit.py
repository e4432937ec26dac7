"""`pipeline submit`: run a recipe on a cluster."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.checks.preflight import find_problems
from pipelines.cli.common import same_command
from pipelines.cli.planning import plan_recipe
from pipelines.cli.runs.ending import print_commands
from pipelines.cli.runs.text import show_path
from pipelines.console.tables import say
from pipelines.digests import write_atomically
from pipelines.environments import Environment, environment
from pipelines.errors import InputError
from pipelines.launch.job import TARGETS, Job, Target
from pipelines.launch.jobs import follow_job
from pipelines.launch.settings import Settings, read_settings
from pipelines.launch.submission import render, submit
from pipelines.recipe.loading import Loaded, load
from pipelines.records.claims import claim, find_conflict
from pipelines.run.description import describe_run
from pipelines.run.plan import Plan
from pipelines.shipped import RECIPES, python_path


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    recipe: Path
    sets: Sequence[str]
    to: Target
    runs: Path = Path("runs")
    seeds: tuple[int, ...] = ()
    smoke: bool = False
    adopt: bool = False
    """Take over the run directories of another recipe file."""


@dataclass(frozen=True)
class Planned:
    """A recipe, planned for the nodes of a cluster."""

    loaded: Loaded
    plan: Plan
    environments: dict[str, Environment]
    missing: tuple[str, ...] = ()
    """Why the evaluations could not be made here."""


def submit_recipe(request: Request, *, dry_run: bool, follow: bool) -> None:
    """Submit a recipe, or print the script that would be submitted.

    Raises:
        InputError: The recipe has mistakes, or the cluster could not run it; nothing was started.
        StepError: The cluster refused it.
    """
    if request.seeds and request.smoke:
        raise InputError("use either --seeds or --smoke")
    planned = _plan(request)
    settings = read_settings(planned.loaded)
    job = make_job(planned, settings, request)
    if dry_run:
        print(render(job, request.to, settings), end="")
        return
    _check(planned, job)
    each = {job.seeded(seed): _plan(request, seed) for seed in job.seeds} or {job.name: planned}
    conflicts = [find_conflict(found.plan.directory, found.loaded, adopt=request.adopt) for found in each.values()]
    if any(conflicts):
        raise InputError("\n".join(filter(None, conflicts)))

    def describe(name: str) -> None:
        found = each[name]
        claim(found.plan.directory, found.loaded.path)
        write_atomically(found.plan.directory / "recipe.yaml", found.loaded.text())
        describe_run(found.plan, found.plan.steps, ["pipeline", *job.command(name)[1:]], smoke=request.smoke)

    recipes = {name: found.loaded.text() for name, found in each.items()}
    submitted = submit(job, request.to, settings, recipes, describe, lambda line: print(line, file=sys.stderr))
    for run in submitted:
        print(f"submitted {show_path(run.directory)}: {run.job}")
    sys.stdout.flush()
    place = shlex.quote(show_path(submitted[0].directory))
    if not follow:
        print("next:")
        print_commands(submitted[0].directory)
        return
    try:
        follow_job(submitted[0].directory, submitted[0].job)
    except KeyboardInterrupt:
        say(f"\n{submitted[0].job} continues; `pipeline stop {place}` stops it")


def render_scripts(path: Path, sets: Sequence[str], runs: Path, *, smoke: bool) -> list[tuple[Target, str]]:
    """Return the script of each cluster in the recipe's `launch` settings, or the site's.

    Raises:
        InputError: The settings have mistakes.
    """
    launch = read_settings(load(path, sets)).launch
    given = {"slurm": launch.slurm, "ray": launch.ray, "kuberay": launch.kuberay}
    found = []
    for request in (Request(path, sets, to, runs, smoke=smoke) for to in TARGETS if given[to] is not None):
        planned = _plan(request)
        settings = read_settings(planned.loaded)
        found.append((request.to, render(make_job(planned, settings, request), request.to, settings)))
    return found


def read_seeds(text: str | None) -> tuple[int, ...]:
    """Return the seeds of `--seeds`.

    Raises:
        InputError: They are not different whole numbers.
    """
    words = text.split(",") if text is not None else []
    if not all(word.strip().isascii() and word.strip().isdigit() for word in words) or len({*map(int, words)}) < len(words):
        raise InputError(f"--seeds {text}: expected different whole numbers, such as 1,2,3")
    return tuple(map(int, words))


def make_job(planned: Planned, settings: Settings, request: Request) -> Job:
    """Return what is to run on the cluster."""
    loaded, plan, recipe = planned.loaded, planned.plan, planned.loaded.recipe
    hardware = [recipe.hardware_of(stage) for stage in recipe.stages]
    per_node = max(each.gpus_per_node for each in hardware)
    slurm = settings.launch.slurm
    inside = request.to == "kuberay" or (request.to == "slurm" and slurm is not None and slurm.container is not None)
    # Ray is in verl's environment, whatever the recipe trains with.
    verl = planned.environments.get("verl") or environment("verl", plan.machine.platform)
    # A container has its own copy of the shipped recipes.
    path = loaded.path.name if inside and loaded.path.is_relative_to(RECIPES) else str(loaded.path)
    options = [word for each in request.sets for word in ("--set", each)] + (["--smoke"] if request.smoke else [])
    return Job(
        name=recipe.name,
        runs=plan.directory.parent,
        nodes=max(each.nodes for each in hardware),
        gpus=0 if recipe.hardware.platform == "cpu" else per_node,
        workers=per_node,
        recipe=(path, *options),
        seeds=request.seeds,
        pipeline=str(Path(sys.executable).with_name("pipeline")),
        verl=str(verl.python),
        import_path=python_path(),
        paths=() if inside else tuple(each.python for each in planned.environments.values()),
        submitted_by=tuple(same_command()),
    )


def _plan(request: Request, seed: int | None = None) -> Planned:
    """Load a recipe and plan it for the nodes: on GPUs, unless the recipe names the CPU. This machine may have none."""
    sets, recipe = list(request.sets), load(request.recipe, request.sets).recipe
    if seed is not None:
        sets += [f"seed={seed}", f"name={recipe.name}-seed-{seed}"]
    if recipe.hardware.platform == "auto" and not request.smoke:
        sets += ["hardware.platform=cuda"]
    loaded, planned, environments = plan_recipe(request.recipe, sets, request.runs, smoke=request.smoke, quiet=True)
    return Planned(loaded, planned.plan, environments, planned.missing)


def _check(planned: Planned, job: Job) -> None:
    """Refuse what every node would refuse.

    Raises:
        InputError: One line per problem.
    """
    # GPUs are those of the nodes.
    machine = replace(planned.plan.machine, platform="cpu")
    problems = [*find_problems(planned.loaded, machine, planned.environments), *planned.missing]
    for name, each in planned.environments.items() if job.paths else ():
        if each.pinned and (reason := each.why_not_ready()):
            problems.append(
                f"the environment of {name} for {each.platform}: {reason}; nodes may have no network: build it here with "
                f"`{each.sync_command}`"
            )
    if problems:
        raise InputError("\n".join(problems))
