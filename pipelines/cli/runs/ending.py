"""The end of `pipeline run`: the stages, and what to type next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pipelines.cli.runs import text
from pipelines.cli.runs.next_commands import next_commands, show_commands
from pipelines.cli.runs.stages import print_stages
from pipelines.errors import PipelineError, Stopped
from pipelines.recipe.schema import Recipe
from pipelines.records.runs import is_run, open_run
from pipelines.records.summaries import summarise_status


def print_run(directory: Path) -> None:
    """Print the table of stages of a run that has ended."""
    if sys.stdout.isatty():
        print()
    print_stages(summarise_status(open_run(directory)))


def print_commands(directory: Path) -> None:
    """Print the commands that continue with a run that has ended."""
    print("\n".join(show_commands(next_commands(open_run(directory)))))


@contextmanager
def notifying(recipe: Recipe, directory: Path) -> Iterator[Callable[[], None]]:
    """Call the recipe's `notify` when the run has completed or failed; who stops a run needs no message.

    Yields:
        What to call when the run has begun. An error before it is no failure of the run: another process may hold it.
    """
    from pipelines.run.notification import notify

    begun = False

    def begin() -> None:
        nonlocal begun
        begun = True

    def call(state: Literal["complete", "failed"], reason: str = "") -> None:
        given = recipe.notify
        if given is not None and begun and (problem := notify(given.command, directory, state, reason)):
            print(f"warning: notify: {problem}", file=sys.stderr)

    try:
        yield begin
    except Exception as error:
        call("failed", str(error))
        raise
    call("complete")


@contextmanager
def pointing_to(directory: Path) -> Iterator[None]:
    """Add to an error of a run which commands show its state and its log."""
    try:
        yield
    except (PipelineError, Stopped) as error:
        if is_run(directory):
            place = shlex.quote(text.show_path(directory))
            error.add_note(f"more: pipeline status {place}; pipeline logs {place}")
        raise
