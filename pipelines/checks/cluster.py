"""Check the nodes of the Ray cluster that a recipe for several nodes uses: one probe on each, all at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.checks.findings import Finding, Report, Verdict
from pipelines.checks.preflight import hardware_keys
from pipelines.checks.upstreams import find_built
from pipelines.environments import Environment
from pipelines.environments.ask import AskError
from pipelines.recipe.loading import Loaded
from pipelines.recipe.schema import Recipe, RlStage
from pipelines.run.cluster.nodes import survey_nodes
from pipelines.run.plan import Plan
from pipelines.trainers.verl.rl.cores import asked_cores

_SKEW = 2.0
"""Seconds by which clocks may differ: times of files and logs of several nodes are compared."""

Json = Mapping[str, Any]


def check_cluster(
    loaded: Loaded, plan: Plan, environments: Mapping[str, Environment], report: Report, names: Collection[str] | None = None
) -> None:
    """Add what is wrong with the nodes to the report: a line for each that differs from this machine.

    `find_problems` reports a cluster that does not answer or has too few nodes.

    Args:
        loaded: The recipe.
        plan: Its plan.
        environments: Trainer -> its environment.
        report: Where the findings are added.
        names: The stages that run; default: all.
    """
    recipe = loaded.recipe
    clustered = [each for each in recipe.stages if recipe.hardware_of(each).nodes > 1 and (names is None or each.name in names)]
    if not clustered:
        return
    if (verl := find_built(environments["verl"])) is None:
        report.findings.append(Finding("machine", "nodes", "verl's environment, which has Ray, is not built", "unchecked"))
        return
    keys = hardware_keys(clustered[0])
    place = f"{loaded.where(*keys)}: {'.'.join(keys)}"
    try:
        answer = survey_nodes(verl.python, make_request(recipe, plan, verl))
    except AskError as error:
        report.add_problem(f"{place}: the nodes of the Ray cluster cannot be asked: {error}")
        return
    if "error" in answer:
        return
    here, nodes = answer["here"], answer["nodes"]
    for problem in (line for node in nodes for line in find_differences(node, here)):
        report.add_problem(f"{place}: {problem}")
    cores = _count_asked_cores(plan)
    report.findings += [Finding("machine", *row) for node in nodes for row in describe_node(node, here, cores)]


def make_request(recipe: Recipe, plan: Plan, verl: Environment) -> dict[str, Any]:
    """Return the request of `pipelines.run.cluster.survey`."""
    rewarded = [stage for stage in recipe.stages if isinstance(stage, RlStage)]
    models = [recipe.model, *(stage.init_from for stage in recipe.stages)]
    files = [reward.file for stage in rewarded for reward in stage.rewards]
    pythons = [str(python) for python in (*plan.machine.pythons.values(), verl.python) if python.exists()]
    return {
        "folder": str(next(each for each in (plan.directory, *plan.directory.parents) if each.is_dir())),
        "paths": sorted({each for each in (*models, *files, *pythons) if isinstance(each, str) and Path(each).is_absolute()}),
        "sandbox": bool(rewarded) and recipe.sandbox.url is None,
    }


def _count_asked_cores(plan: Plan) -> int:
    """Return the most cores that a stage asks of Ray on a node; 0 if the platform is cpu, which asks for few."""
    recipe = plan.recipe
    if plan.machine.platform == "cpu":
        return 0
    clustered = [stage for stage in recipe.stages if isinstance(stage, RlStage) and recipe.hardware_of(stage).nodes > 1]
    return max((sum(asked_cores(stage, recipe.hardware_of(stage)).values()) for stage in clustered), default=0)


def find_differences(node: Json, here: Json) -> Iterator[str]:
    """Yield why a node cannot take part in the run, a line each."""
    name = f"node {node['name']}"
    if "problem" in node:
        yield f"{name}: {node['problem']}"
        return
    there = node["answer"]
    if there["python"] != here["python"]:
        own = f"{here['python']}, {here['executable']}"
        yield f"{name}: its Python is {there['python']}, {there['executable']}; here it is {own}"
    if others := _compare_packages(there["packages"], here["packages"]):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        yield f"{name}: its packages differ from those here: {others[0]}{more} ({there['executable']})"
    if not there["project"]:
        yield f"{name}: {there['executable']} cannot import this project"
    elif there["project"] != here["project"]:
        yield f"{name}: its code of this project differs from that here"
    if there["shared"]:
        yield f"{name}: the run directory is not shared: {there['shared']}"
    for path in there["missing"]:
        yield f"{name}: {path} is missing there"
    if there["project"] and there["sandbox"]:
        yield f"{name}: programs cannot be run safely there: {there['sandbox']}"


def _compare_packages(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return the packages of this machine that the node lacks or has in another version."""
    others = {name: version for name, version in sorted(here.items()) if there.get(name) != version}
    return [f"{name} {there.get(name, 'missing')} instead of {version}" for name, version in others.items()]


def describe_node(node: Json, here: Json, cores: int) -> Iterator[tuple[str, str, Verdict]]:
    """Yield a row on a node, and notes on it; `cores` are those that verl asks of Ray on a node with GPUs."""
    what = f"node {node['name']}"
    if "problem" in node:
        yield what, node["problem"], "wrong"
        return
    there = node["answer"]
    resources = f"Ray has {node['cores']} cores and {_count_gpus(node['gpus'])}"
    parts = [node["host"], f"Python {there['python']}", _list_gpus(there), resources]
    if node["bandwidth"]:
        parts.append(f"{node['bandwidth'] / 1e6:,.0f} MB/s from this machine")
    yield what, "; ".join(parts), "ok"
    notes = [*there["full"]]
    if node["gpus"] and cores > node["cores"]:
        notes.append(f"Ray has {node['cores']} cores there, verl asks for {cores}: start it with --num-cpus={cores}")
    if there["gpus"] and here["gpus"] and there["gpus"] != here["gpus"]:
        notes.append(f"its GPUs differ from those here, {_list_gpus(here)}")
    if not there["libseccomp"]:
        notes.append("libseccomp.so.2 was not found (Debian: apt install libseccomp2)")
    clock = node["clock"]
    if clock is not None and abs(clock[0]) - clock[1] > _SKEW:
        notes.append(f"its clock is {abs(clock[0]):.1f} s {'ahead of' if clock[0] > 0 else 'behind'} this machine's")
    for note in notes:
        yield what, note, "note"


def _count_gpus(count: int) -> str:
    return f"{count} GPU{'s' if count != 1 else ''}"


def _list_gpus(answer: Json) -> str:
    """Return the GPUs of a machine, with memory and driver."""
    gpus = answer["gpus"]
    return ", ".join(f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus)) or "no GPU"
