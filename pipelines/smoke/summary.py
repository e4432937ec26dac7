"""What a person is told of a smoke: what it shrank, and what it has shown."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pipelines.console import tables
from pipelines.recipe.loading import Loaded
from pipelines.run.plan import Plan, Step
from pipelines.smoke.changes import Change
from pipelines.smoke.shrinking import shrink

_HEADER = ("what", "recipe", "smoke", "reason")


def print_changes(loaded: Loaded) -> Loaded:
    """Shrinks a recipe and prints what is otherwise, a line each; the tiny recipe.

    Raises:
        InputError, RecipeError: see `shrink`.
    """
    smoke = shrink(loaded)
    tables.say(f"a smoke of {loaded.recipe.name}: every stage as the recipe has it, but for")
    if sys.stdout.isatty():
        print("\n".join(render(smoke.changes, shutil.get_terminal_size().columns)), end="\n\n")
    else:
        tables.print_rows(_HEADER, [("".join(_split(each)), each.before, each.after, each.why) for each in smoke.changes])
    sys.stdout.flush()
    return smoke.loaded


def render(changes: Sequence[Change], columns: int) -> Iterator[str]:
    """The changes for a terminal, those of each stage below its name."""
    for stage, of_stage in groupby(changes, lambda each: _split(each)[0]):
        if stage:
            yield stage.removesuffix(".")
        for change in of_stage:
            what = (
                f"{_split(change)[1]}: {change.before} -> {change.after}"
                if change.before
                else f"{_split(change)[1]}: {change.after}"
            )
            line = tables.escape_controls(f"{what}  ({change.why})" if change.why else what)
            indent = "  " if stage else ""
            yield from textwrap.wrap(
                line,
                columns,
                initial_indent=indent,
                subsequent_indent=f"{indent}    ",
                break_long_words=False,
                break_on_hyphens=False,
            )


def _split(change: Change) -> tuple[str, str]:
    """The stage with its dot, empty where it is of the whole recipe, and the key in it."""
    if not change.key.startswith("stages."):
        return "", change.key
    stage, _, key = change.key.removeprefix("stages.").partition(".")
    return f"{stage}.", key


def print_passed(path: Path, sets: list[str], plan: Plan, steps: Sequence[Step]) -> None:
    """Prints which stages ran, and what comes next.

    Args:
        steps: those that were asked for.
    """
    count = sum(f"{stage.name}/train" in {step.name for step in steps} for stage in plan.recipe.stages)
    settings = [word for each in sets for word in ("--set", each)]
    print(f"smoke: {count} {'stages' if count > 1 else 'stage'} ran, from rows to model: {plan.directory}")
    print(f"next: {shlex.join(['pipeline', 'check', str(path), *settings])}")
