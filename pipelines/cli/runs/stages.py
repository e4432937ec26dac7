"""The table of a run's stages, in `pipeline status` and at the end of `pipeline run`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines.cli.runs import text
from pipelines.console.progress import format_seconds
from pipelines.console.tables import print_rows
from pipelines.records.summaries import RunStatus, StageSummary

if TYPE_CHECKING:
    from rich.console import Console

_HEADER = ("stage", "trained by", "steps", "time", "newest", "state", "model folder")


def print_stages(status: RunStatus, console: Console | None = None) -> None:
    """Print a line per stage: its steps, time, newest loss or reward, state and model."""
    rows = [_row(each, status.directory) for each in status.stages]
    print_rows(_HEADER, rows, drop=("trained by", "model folder"), console=console)


def _row(stage: StageSummary, directory: str) -> tuple[str, ...]:
    return (
        stage.name,
        " ".join(filter(None, (stage.algorithm, stage.trainer))),
        text.show_count(stage.step, stage.total),
        format_seconds(stage.seconds) if stage.seconds else "",
        text.show_metric(stage.metric),
        stage.state,
        os.path.relpath(stage.model, directory) if stage.model is not None else "",
    )
