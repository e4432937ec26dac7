"""`pipeline status`."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipelines.cli.runs import text
from pipelines.cli.runs.next_commands import next_commands, show_commands
from pipelines.cli.runs.stages import print_stages
from pipelines.console.progress import format_seconds
from pipelines.console.tables import escape_controls, make_console, print_rows, say
from pipelines.records.runs import Run, open_run
from pipelines.records.summaries import RunStatus, StepSummary, summarise_status

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS = 2.0
"""Between two looks at a run with `--watch`."""

_HEADER = ("step", "state", "time", "attempts", "now")


def print_status(name: str | None, parent: Path, *, watch: bool, as_json: bool) -> None:
    """Print how a run is.

    Args:
        name: The run; None: the one in `parent` that changed last.
        parent: The parent of the run directories.
        watch: Print it again until the run ends.
        as_json: Print JSON; with `watch`, one object per line.
    """
    run = text.choose_run(name, parent)
    if watch and not as_json and sys.stdout.isatty():
        run = _watch(run)
    while True:
        _print(run, as_json=as_json, one_line=watch)
        if not watch or run.holder is None:
            return
        time.sleep(_SECONDS)
        run = open_run(run.directory)


def _print(run: Run, *, as_json: bool, one_line: bool) -> None:
    status = summarise_status(run)
    if not as_json:
        _show(run, status, None)
        return
    encoded = msgspec.json.encode(status)
    print(encoded.decode() if one_line else msgspec.json.format(encoded, indent=1).decode(), flush=True)


def _watch(run: Run) -> Run:
    """Show a run on the whole terminal until it ends; return it as it is then."""
    console = make_console()
    with console.screen():
        while run.holder is not None:
            with console.capture() as captured:
                _show(run, summarise_status(run), console)
            # Overwriting the lines does not flicker, as clearing the screen does.
            lines = captured.get().splitlines()[: console.height - 1]
            console.file.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
            console.file.flush()
            time.sleep(_SECONDS)
            run = open_run(run.directory)
    return run


def _show(run: Run, status: RunStatus, console: Console | None) -> None:
    def tell(*lines: str) -> None:
        for line in lines:
            if console is None:
                say(line)
            else:
                console.print(escape_controls(line), markup=False, soft_wrap=True)

    tell(*_wrap(f"{Path(status.directory).name}: {text.describe(status, status.reason)}"), *_wrap(_describe_place(status)), "")
    sys.stdout.flush()
    print_stages(status, console)
    tell("")
    sys.stdout.flush()
    print_rows(_HEADER, [_row(each) for each in status.steps], drop=("attempts", "now"), console=console)
    sys.stdout.flush()
    if notes := [*_list_notes(status.steps)]:
        tell("", *(part for note in notes for part in _wrap(note)))
    if status.model is not None:
        tell("", f"model: {text.show_path(status.model)}")
    if commands := next_commands(run, without="status"):
        tell("", "next:", *show_commands(commands, _width()))


def _describe_place(status: RunStatus) -> str:
    """Return where a run is, and what runs it."""
    parts = [text.show_path(status.directory)]
    parts += ["smoke"] if status.smoke else []
    parts += [f"on {status.platform}"] if status.platform else []
    process = status.process
    if process is not None:
        parts.append(f"process {process.pid}{'' if process.here else f' of {process.host}'}")
    if status.job is not None:
        from pipelines.launch.jobs import describe_job

        parts.append(describe_job(status.job))
    parts.append(f"{format_seconds(status.seconds)} in all")
    return f"{', '.join(parts)}; changed {text.show_since(status.changed)} ago"


def _row(step: StepSummary) -> tuple[str, ...]:
    now = ", ".join(filter(None, (step.reached, text.show_left(step.seconds_left))))
    took = format_seconds(step.seconds) if step.state != "waiting" else ""
    return step.name, step.state, took, str(step.attempts) if step.attempts > 1 else "", now


def _list_notes(steps: Sequence[StepSummary]) -> Iterator[str]:
    for step in steps:
        if step.optional and step.reason:
            yield f"warning: {step.name}: {step.reason}; log: {text.show_path(step.log)}"
        for failure in step.failures:
            end = "; resumed" + (f" from step {failure.checkpoint}" if failure.checkpoint else "") if failure.resumed else ""
            yield f"{step.name}: attempt {failure.attempt} failed at step {failure.step}: {failure.reason}{end}"
        yield from (f"{step.name}: {note}" for note in step.notes)


def _wrap(line: str) -> list[str]:
    """Return a line as lines of the terminal's width."""
    return textwrap.wrap(line, _width(), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _width() -> int:
    """Return the columns of the terminal; a large number elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
