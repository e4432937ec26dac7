"""`pipeline runs`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipelines.cli.runs import text
from pipelines.console.progress import format_seconds
from pipelines.console.sizes import format_bytes
from pipelines.console.tables import print_rows, say
from pipelines.errors import InputError
from pipelines.records.runs import RUNS, is_run
from pipelines.records.summaries import RunSummary, list_runs
from rewards.suggestions import nearest_path

_HEADER = ("name", "stage", "step", "newest", "left", "state", "size", "age")


def print_runs(parent: Path, *, as_json: bool) -> None:
    """Print the runs of a folder, the one that changed last first."""
    if is_run(parent):
        raise InputError(f"{parent} is a run, not a folder of runs; `pipeline status {parent}`")
    if parent != RUNS and not parent.is_dir():
        raise InputError(f"{parent} not found{nearest_path(parent.absolute())}")
    found = list_runs(parent)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
        return
    print_rows(_HEADER, [_row(each) for each in found.runs], "; all with --json", drop=("size", "age", "left"))
    for reason in found.unreadable.values():
        say(f"warning: {reason}")
    if not found.runs:
        say(f"{parent} has no runs; `pipeline run smoke.yaml` starts one")


def _row(run: RunSummary) -> tuple[str, ...]:
    return (
        Path(run.directory).name,
        run.at,
        text.show_count(run.step, run.total),
        text.show_metric(run.metric),
        format_seconds(run.seconds_left) if run.seconds_left is not None else "",
        text.show_state(run),
        format_bytes(run.size or 0),
        text.show_since(run.changed),
    )
