"""`pipeline runs`, `status`, `logs`, `stop`, `report` and `compare`. Each imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.common import Json, RunName
from pipelines.cli.help import LOOK

Parent = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of the run directories.")]

_RUNS = Path("runs")


def add_run_commands(app: typer.Typer) -> None:
    """Add the commands about runs."""
    app.command("runs", rich_help_panel=LOOK)(list_runs)
    for command in (status, logs, stop, report, compare):
        app.command(rich_help_panel=LOOK)(command)


def list_runs(runs: Parent = _RUNS, as_json: Json = False) -> None:
    """List the runs and how far each is, the newest first."""
    from pipelines.cli.runs.listing import print_runs

    print_runs(runs, as_json=as_json)


def status(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="A run directory, or the name of a run in runs/. Default: the newest.", show_default=False
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Update it until the run ends.")] = False,
    runs: Parent = _RUNS,
    as_json: Json = False,
) -> None:
    """Show a run: stages, steps, notes, model, what to type next.

    \b
    Examples:
      pipeline status                    # the newest run in runs/
      pipeline status smoke --watch      # until it ends
    """
    from pipelines.cli.runs.status import print_status

    with _ends_on_interrupt():
        print_status(run, runs, watch=watch, as_json=as_json)


def logs(
    run: RunName,
    part: Annotated[
        str | None,
        typer.Argument(metavar="STAGE", help="A stage, or a step such as sft/train. Default: all.", show_default=False),
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Also print what is added, until the run ends.")] = False,
    warnings: Annotated[bool, typer.Option("--warnings", help="Print warnings, errors and tracebacks only.")] = False,
    rank: Annotated[
        int | None, typer.Option("--rank", metavar="N", min=0, help="Print the lines of this rank only.", show_default=False)
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Print every line as it is.")] = False,
    as_json: Json = False,
    runs: Parent = _RUNS,
) -> None:
    """Print the logs of a run without the trainers' noise.

    Noise are progress bars, dumped configurations, warnings shown before, and messages that call for nothing.

    \b
    Examples:
      pipeline logs smoke                # all steps, in order
      pipeline logs smoke stage-one -f   # follow a stage
      pipeline logs smoke --warnings
    """
    from pipelines.cli.runs.logs import Filters, print_logs

    with _ends_on_interrupt():
        print_logs(run, part, runs, Filters(warnings, rank, raw), follow=follow, as_json=as_json)


def stop(run: RunName, as_json: Json = False, runs: Parent = _RUNS) -> None:
    """Stop a run as Ctrl-C does, and wait until it has ended.

    The command that started it resumes it from its last checkpoint.
    """
    from pipelines.cli.runs.stop import stop_run

    stop_run(run, runs, as_json=as_json)


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Run directories, or names of runs in runs/; several are drawn over each other.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Default: RUN/report.html; ./report.html for several runs."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the report of one or several runs as an HTML file.

    The chain of stages, curves, evaluations, reward health, samples, configuration and provenance. The file needs no network
    and no other file. It can be written while the run continues; `report: live` in the recipe keeps it current.

    \b
    Examples:
      pipeline report runs/smoke                         # its report.html
      pipeline report runs/grpo runs/dapo -o both.html   # curves over each other
      pipeline report runs/smoke --json                  # the data for programs
    """
    from pipelines.cli.runs.report import write_report

    write_report(runs, output, as_json=as_json)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A run.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="B", help="The run to compare with it.", show_default=False)],
    runs: Parent = _RUNS,
    as_json: Json = False,
) -> None:
    """Compare the recipes, metrics and evaluations of two runs."""
    from pipelines.cli.runs.compare import compare_runs

    compare_runs(first, second, runs, as_json=as_json)


@contextmanager
def _ends_on_interrupt() -> Iterator[None]:
    """End on Ctrl-C without a message: it is how the user leaves what does not end by itself."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
