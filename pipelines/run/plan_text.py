"""Render a plan as text: its steps, the reason for each, the commands and configurations."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.digests import Digests
from pipelines.recipe.problems import shorten
from pipelines.recipe.schema import TinyModel
from pipelines.run.plan import Plan, Step
from pipelines.run.skipping import why_run

_SHOWN = 10


def find_reasons(plan: Plan, steps: list[Step], digests: Digests) -> dict[str, str | None]:
    """Return for each step why it would run now; None if it would be skipped.

    A complete step whose inputs will be re-made is reported as conditional: its inputs may turn out unchanged.
    """
    reasons: dict[str, str | None] = {}
    making: dict[Path, str] = {}
    for step in steps:
        reason = why_run(step, plan, digests)
        waits = [name for name in step.follows if reasons.get(name)]
        waits += [making[made] for path in step.inputs.values() for made in making if Path(path).is_relative_to(made)]
        if reason is None and waits:
            reason = f"if {waits[0]} changes its input"
        reasons[step.name] = reason
        if reason is not None:
            making |= dict.fromkeys(step.outputs, step.name)
    return reasons


def render_steps(plan: Plan, steps: Sequence[Step], reasons: Mapping[str, str | None], columns: int | None = None) -> list[str]:
    """Render the list of steps.

    Args:
        columns: The width at which reasons are wrapped; None: they are not.
    """
    width = max(len(step.name) for step in steps)
    lines = [f"recipe    {plan.recipe.name}", f"platform  {_hardware(plan)}", f"run       {plan.directory}", ""]
    for number, step in enumerate(steps, 1):
        reason = reasons[step.name]
        first = f"{number:>3}  {step.name:<{width}}  "
        text = "skip: done before" if reason is None else f"run: {reason}"
        if columns is None:
            lines.append(first + text)
        else:
            rest = " " * (len(first) + 5)
            lines += textwrap.wrap(text, max(columns, len(rest) + 20), initial_indent=first, subsequent_indent=rest)
    return lines


def render_commands(steps: Sequence[Step]) -> list[str]:
    """Render the command and the configuration of each step."""
    lines = []
    for step in steps:
        lines += ["", f"--- {step.name}: {step.title}", f"cd {shlex.quote(str(step.directory))}"]
        lines += [f"{name}={shlex.quote(value)} \\" for name, value in sorted(step.launch.environment.items())]
        lines.append(shlex.join(step.launch.argv))
        for name, text in step.launch.files.items():
            lines += ["", f"# {name}", text.rstrip("\n")]
    return lines


def render_problems(of_recipe: Sequence[str], of_machine: Sequence[str]) -> list[str]:
    """Render why `pipeline run` would refuse the recipe."""
    lines = []
    for where, problems in (("", of_recipe), (" on this machine", of_machine)):
        if problems:
            shown = [f"  {shorten(problem)}" for problem in problems[:_SHOWN]]
            more = [f"  and {len(problems) - _SHOWN:,} more"] if len(problems) > _SHOWN else []
            lines += ["", f"`pipeline run` would refuse this recipe{where}:", *shown, *more]
    return lines


def render_differences(found: Mapping[str, Sequence[str]], steps: Sequence[Step]) -> list[str]:
    """Render how what executed complete steps differs from what would execute them now."""
    lines = []
    for line, names in found.items():
        where = "every complete step" if len(names) > 3 and len(names) == len(steps) else ", ".join(names)
        lines.append(f"  {line}  ({where})")
    return (
        ["", "complete steps were executed differently (nothing is re-run for that; --strict refuses it):", *lines]
        if lines
        else []
    )


def _hardware(plan: Plan) -> str:
    """Return the hardware of the recipe, such as `cuda, 8 GPUs`."""
    nodes, each = plan.recipe.hardware.nodes, plan.recipe.hardware.gpus_per_node
    auto = plan.recipe.hardware.platform == "auto" and not isinstance(plan.recipe.model, TinyModel)
    why = " (no GPU was found)" if auto and plan.machine.platform == "cpu" else ""
    worker = "GPU" if plan.machine.platform == "cuda" else "process"
    workers = f"{each} {worker}{'' if each == 1 else 'es' if worker == 'process' else 's'}"
    return f"{plan.machine.platform}, {f'{nodes} machines with {workers} each' if nodes > 1 else workers}{why}"
