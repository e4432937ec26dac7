"""`pipeline report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pipelines.console.tables import say
from pipelines.errors import InputError
from pipelines.records.runs import find_run
from pipelines.reports import FILE, rendering
from pipelines.reports.report import Report


def write_report(runs: Sequence[str], output: Path | None, *, as_json: bool) -> None:
    """Write the report of some runs as an HTML file, or print its data as JSON."""
    directories = [find_run(run).directory for run in runs]
    for number, each in enumerate(directories):
        if each.resolve() in [other.resolve() for other in directories[:number]]:
            raise InputError(f"{each} is given twice")
    if output is not None and output.is_dir():
        raise InputError(f"-o {output} is a folder; expected a file, such as {output / FILE}")
    page = Report(directories).read()
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(page) + b"\n")
        return
    path = output or (directories[0] / FILE if len(directories) == 1 else Path(FILE))
    rendering.write(page, path)
    say(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB)")
