"""The end of `pipeline run`: the stages, and what to type next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.cli.runs import text
from pipelines.cli.runs.next_commands import next_commands, show_commands
from pipelines.cli.runs.stages import print_stages
from pipelines.errors import PipelineError
from pipelines.records.runs import is_run, open_run
from pipelines.records.summaries import summarise_status
from pipelines.run.process import Stopped


def print_run(directory: Path) -> None:
    """Print the table of stages of a run that has ended."""
    if sys.stdout.isatty():
        print()
    print_stages(summarise_status(open_run(directory)))


def print_commands(directory: Path) -> None:
    """Print the commands that continue with a run that has ended."""
    print("\n".join(show_commands(next_commands(open_run(directory)))))


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
