"""`pipeline export`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import msgspec

from pipelines.cli.common import ensure_environment
from pipelines.console.progress import Progress
from pipelines.console.tables import say
from pipelines.evaluation.finding import find_trained
from pipelines.results.exporting import export_to
from pipelines.results.files import format_size
from pipelines.run.machine import find_environments
from pipelines.run.process import signals_as_stopped


def export(run: str, stage: str | None, step: int | None, output: Path, *, as_json: bool) -> None:
    """Export a model of a run and print where it is."""
    trained = find_trained(run, stage, step)
    ensure_environment(find_environments(trained.plan.recipe)[trained.stage.trainer])
    display = Progress(sys.stderr, heartbeat=15.0)
    try:
        with signals_as_stopped():
            exported = export_to(trained, output, display)
    finally:
        display.close()
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(exported), indent=1).decode())
        return
    size = format_size(sum(each.bytes for each in exported.files))
    say(f"{trained.label}: {len(exported.files)} files, {size}, in {output}")
    say(f"chat with it: pipeline chat {shlex.quote(f'./{output}' if not output.is_absolute() else str(output))}")
