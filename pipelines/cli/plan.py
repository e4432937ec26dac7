"""`pipeline plan`: what a run would do, and what it would do differently from the last one."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from pipelines.checks.preflight import split_problems
from pipelines.cli.common import Stages
from pipelines.cli.planning import plan_recipe, prepared_stages, used_environments
from pipelines.console.tables import escape_controls, text_width
from pipelines.digests import Digests
from pipelines.records.claims import find_conflict
from pipelines.run.origin import find_differences
from pipelines.run.plan_diff import render_diff
from pipelines.run.plan_text import find_reasons, render_commands, render_differences, render_problems, render_steps


def print_plan(
    path: Path,
    sets: list[str],
    runs: Path,
    stages: Stages,
    *,
    smoke: bool,
    brief: bool | None = None,
    diff: bool = False,
    strict: bool = False,
) -> None:
    """Print what `run_recipe` would do; exit with status 2 if no machine could do it.

    Args:
        path: The recipe.
        sets: `key=value` options.
        runs: The parent of the run directories.
        stages: The first and the last stage.
        smoke: Plan the tiny version of the recipe.
        brief: Leave out commands and configurations; default: on a terminal.
        diff: Print the differences from the last run instead of commands and configurations.
        strict: Exit with status 2 if complete steps were executed by other software or hardware.

    Raises:
        InputError: The recipe or the selection of stages has mistakes.
    """
    loaded, planned, environments = plan_recipe(path, sets, runs, smoke=smoke)
    plan, terminal = planned.plan, sys.stdout.isatty()
    for line in [*planned.left_out, *([] if smoke else loaded.unusual())]:
        print(f"warning: {line}", file=sys.stderr)
    steps, (_, names) = plan.select(*stages), plan.split_stages(*stages)
    digests = Digests(plan.directory / "digests.json")
    reasons = find_reasons(plan, steps, digests)
    of_recipe, of_machine = split_problems(
        loaded, plan.machine, used_environments(environments, steps), names, prepared_stages(steps)
    )
    of_machine += [*plan.find_missing_models(*stages), *planned.missing]
    of_machine += [conflict] if (conflict := find_conflict(plan.directory, loaded)) else []
    if diff:
        lines = render_diff(plan, steps, reasons, loaded.text(), text_width())
    else:
        lines = render_steps(plan, steps, reasons, text_width() if terminal else None)
        if brief is False or (brief is None and not terminal):
            lines += render_commands(steps)
            lines += _render_scripts(path, sets, runs, smoke=smoke)
    complete = [step for step in steps if reasons[step.name] is None]
    differences = find_differences(plan, complete)
    lines += render_differences(differences, complete)
    lines += render_problems(of_recipe, of_machine)
    print("\n".join(escape_controls(line, keep="\n\t") if terminal else line for line in lines))
    if terminal and not diff and brief is None:
        print("\ncommands and configurations: --full; differences from the last run: --diff")
    if of_recipe or (strict and differences):
        raise typer.Exit(2)


def _render_scripts(path: Path, sets: list[str], runs: Path, *, smoke: bool) -> list[str]:
    """Render the script of each cluster in the `launch` settings."""
    from pipelines.cli.submit import render_scripts

    lines = []
    for to, text in render_scripts(path, sets, runs, smoke=smoke):
        lines += ["", f"--- pipeline submit {path} --to {to}", text.rstrip("\n")]
    return lines
