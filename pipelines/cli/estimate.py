"""`pipeline estimate`: memory, time and cost of each stage, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.checks.estimates import (
    describe_largest,
    estimate_stage,
    estimate_work_of,
    find_measured,
    parse_gpu_memory,
    read_throughput,
)
from pipelines.cli.planning import plan_recipe
from pipelines.console import tables
from pipelines.console.sizes import format_bytes
from pipelines.estimates.work import Work
from pipelines.run.plan import Plan


def print_estimates(
    path: Path,
    sets: list[str],
    runs: Path,
    *,
    smoke: bool,
    gpu_memory: float | None,
    throughput: list[str],
    price: float | None,
    measured: str | None,
    terms: bool,
) -> None:
    """Print a table of memory and one of time.

    Args:
        path: The recipe.
        sets: `key=value` options.
        runs: The parent of the run directories.
        smoke: Estimate the tiny version of the recipe.
        gpu_memory: Gigabytes of each GPU.
        throughput: Tokens per second and device, as `TOKENS` or `STAGE=TOKENS`.
        price: Of a device for an hour.
        measured: A run whose speed is used.
        terms: Print what the memory consists of.

    Raises:
        InputError: The recipe or an option has mistakes.
    """
    _, planned, _ = plan_recipe(path, sets, runs, smoke=smoke, quiet=smoke)
    plan = planned.plan
    speeds = read_throughput(throughput, [stage.name for stage in plan.recipe.stages])
    run = find_measured(measured, runs)
    given = parse_gpu_memory(gpu_memory)
    tables.print_rows(("stage", "when", "where", "memory", "result"), list(_memory_rows(plan, given, terms=terms)))
    work = [(stage, estimate_work_of(plan, stage, speeds.get(stage.name), run)) for stage in plan.recipe.stages]
    print()
    header = ("stage", "steps", "rows/step", "tokens/step", "s/step", "hours", "cost")
    lines = [(stage.name, *_work_row(each, price)) for stage, each in work]
    tables.print_rows(header, lines, drop=("cost", "hours", "s/step"))
    tables.say("estimates of the longest rows that the recipe allows; `pipeline check` compares them with this machine")


def _memory_rows(plan: Plan, given: int | None, *, terms: bool) -> Iterator[tuple[str, ...]]:
    for stage in plan.recipe.stages:
        memory = estimate_stage(plan, stage, given)
        if memory is None:
            model = plan.recipe.base_model(stage)
            yield stage.name, "", "", "", f"unknown: the config.json of {model} is not on this machine"
            continue
        for where, phases in (("each GPU", memory.gpu), ("main memory", (memory.host,))):
            for phase in phases:
                yield stage.name, phase.name, where, format_bytes(phase.bytes), describe_largest(phase)
                if terms:
                    for term in sorted(phase.terms, key=lambda each: -each.bytes):
                        yield stage.name, "", "", format_bytes(term.bytes), term.name
        for note in memory.notes:
            yield stage.name, "", "", "", f"note: {note}"


def _work_row(work: Work, price: float | None) -> tuple[str, ...]:
    cost = None if price is None else work.cost(price)
    seconds, hours = work.step_seconds, work.hours
    return (
        "not counted yet" if work.steps is None else f"{work.steps:,}",
        f"{work.rows:,}",
        f"{work.tokens:,}",
        "" if seconds is None else f"{seconds:.1f}",
        "" if hours is None else f"{hours:.1f}",
        "" if cost is None else f"{cost:,.2f}",
    )
