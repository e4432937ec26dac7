"""`pipeline data trace`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, Literal

from pipelines.cli.common import in_sandbox
from pipelines.cli.data import outcomes
from pipelines.cli.data.convert import one_line_errors
from pipelines.console import tables
from pipelines.console.progress import bar
from pipelines.errors import InputError, StepError
from pipelines.run.process import signals_as_stopped
from preprocess import atomic
from preprocess.converters.options import parse_options
from preprocess.converters.shared.execution import FileOptions
from preprocess.engine.convert import Part
from preprocess.engine.job import Reject
from preprocess.engine.tally import Tally, to_line
from preprocess.jobs.trace_files import trace_files
from rewards.suggestions import nearest_path
from rewards.wording import count


def trace(source: Path, output: Path, options: dict[str, Any], isolation: Literal["strong", "weak"], url: str | None) -> None:
    """Trace the calls of a Python file or folder and print the outcome.

    Raises:
        InputError: a mistake in the arguments or the source.
        StepError: no call gave a row, no sandbox, a full disk; existing files are unchanged.
    """
    if not source.exists():
        raise InputError(f"source not found: {source}{nearest_path(source)}")
    if output.suffix != ".jsonl" or output.is_dir():
        raise InputError(f"{output}: expected the name of a .jsonl file")
    rejects, rows_file = output.with_suffix(".rejects.jsonl"), output.with_suffix(".parquet")
    with one_line_errors(), in_sandbox(isolation, url), signals_as_stopped():
        tally = _write(source, parse_options(options, FileOptions), output, rejects)
    rows = tally.records - sum(map(tally.count, tally.reasons))
    tables.say(f"{count(rows, 'row')} in {output}, in the format of ExecVerify")
    outcomes.print_reasons({"": tally.summarise()})
    if any(tally.reasons.values()):
        tables.say(f"rejected calls with line and reason: {rejects}")
    tables.say(f"next: {shlex.join(['pipeline', 'data', 'convert', 'execverify_rl', str(output), '-o', str(rows_file)])}")


def _write(source: Path, options: FileOptions, output: Path, rejects: Path) -> Tally:
    tally = Tally()
    output.parent.mkdir(parents=True, exist_ok=True)
    atomic.sweep(output.parent)
    with bar("tracing") as step, atomic.open_text(output) as file:
        with atomic.open_text(rejects) as rejects_file:
            for made in trace_files(source, options):
                step()
                rejected = [made] if isinstance(made, Reject) else []
                tally.add(Part(source, 0, 1, rejects=rejected))
                rejects_file.writelines(map(to_line, rejected))
                if not rejected:
                    file.write(json.dumps(made, ensure_ascii=False) + "\n")
        if not file.tell():
            raise StepError(
                f"no rows from {source}: its functions need calls, as examples (>>>) or at the top level; see {rejects}"
            )
    return tally
