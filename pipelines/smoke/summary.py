"""Print what a smoke changed, and what it ran."""

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


def print_changes(loaded: Loaded) -> Loaded:
    """Shrink a recipe and print the changes, one per line; return the tiny recipe."""
    small, changes = shrink(loaded)
    tables.say(f"smoke of {loaded.recipe.name}: every stage of the recipe, with these changes")
    if sys.stdout.isatty():
        print("\n".join(render(changes, shutil.get_terminal_size().columns)), end="\n\n")
    else:
        rows = [(each.key.removeprefix("stages."), each.before, each.after, each.why) for each in changes]
        tables.print_rows(("key", "recipe", "smoke", "reason"), rows)
    sys.stdout.flush()
    return small


def render(changes: Sequence[Change], columns: int) -> Iterator[str]:
    """Yield the changes as lines for a terminal, those of each stage below its name."""
    for stage, group in groupby(changes, lambda change: _split(change.key)[0]):
        if stage:
            yield stage
        indent = "  " if stage else ""
        for change in group:
            text = f"{_split(change.key)[1]}: {f'{change.before} -> ' if change.before else ''}{change.after}"
            yield from textwrap.wrap(
                tables.escape_controls(f"{text}  ({change.why})" if change.why else text),
                columns,
                initial_indent=indent,
                subsequent_indent=f"{indent}    ",
                break_long_words=False,
                break_on_hyphens=False,
            )


def _split(key: str) -> tuple[str, str]:
    """Return the stage, empty for a key of the recipe, and the key in it."""
    if not key.startswith("stages."):
        return "", key
    stage, _, rest = key.removeprefix("stages.").partition(".")
    return stage, rest


def print_passed(path: Path, sets: list[str], plan: Plan, steps: Sequence[Step]) -> None:
    """Print which stages ran, and the next command."""
    count = sum(f"{stage.name}/train" in {step.name for step in steps} for stage in plan.recipe.stages)
    settings = [word for each in sets for word in ("--set", each)]
    print(f"smoke: {count} {'stages' if count > 1 else 'stage'} ran, from rows to model: {plan.directory}")
    print(f"next: {shlex.join(['pipeline', 'check', str(path), *settings])}")
