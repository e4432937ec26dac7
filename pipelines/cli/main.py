"""The commands of `pipeline`. Each imports what it needs when it is called, so that `pipeline --help` is instant."""

from __future__ import annotations

import errno
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.common import Recipe, Runs, Sets
from pipelines.cli.data.commands import app as data_app
from pipelines.cli.env import app as environments_app
from pipelines.cli.rewards.commands import app as rewards_app

app = typer.Typer(
    name="pipeline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""Take a code model through supervised fine-tuning and reinforcement learning with one YAML recipe.

Start with `pipeline run smoke.yaml`: a tiny model through all stages on this machine, in minutes.
Then `pipeline plan execverify.yaml` prints the steps of a real run.""",
)
app.add_typer(data_app, name="data")
app.add_typer(environments_app, name="env")
app.add_typer(rewards_app, name="rewards")

From = Annotated[
    str | None,
    typer.Option("--from", metavar="STAGE", help="Start with this stage; use the models of earlier stages as they are."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="STAGE", help="Stop after this stage.")]
Smoke = Annotated[
    bool,
    typer.Option(
        "--smoke", help="Try the recipe on the CPU in minutes: the same stages with a tiny model, few rows and few steps."
    ),
]


@app.command()
def run(
    recipe: Recipe,
    sets: Sets = None,
    from_stage: From = None,
    until_stage: Until = None,
    smoke: Smoke = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run all steps again; keep earlier results in replaced/.")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Train all stages of a recipe; complete steps are skipped.

    A run that was killed or failed resumes from the last checkpoint with the same command.
    """
    from pipelines.cli.run import run_recipe

    run_recipe(recipe, sets or [], runs, from_stage, until_stage, fresh=fresh, smoke=smoke)


@app.command()
def plan(
    recipe: Recipe,
    sets: Sets = None,
    from_stage: From = None,
    until_stage: Until = None,
    smoke: Smoke = False,
    runs: Runs = Path("runs"),
) -> None:
    """Print the steps of a recipe, their commands and configurations, and which would be skipped. Starts nothing."""
    from pipelines.cli.run import print_plan

    print_plan(recipe, sets or [], runs, from_stage, until_stage, smoke=smoke)


@app.command()
def check(
    recipe: Recipe,
    sets: Sets = None,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=1, help="Check rewards on the first N rows of each source.")
    ] = 16,
    runs: Runs = Path("runs"),
) -> None:
    """Validate a recipe, or an evaluation set, and this machine before training. Trains and writes nothing.

    Asks the pinned trainers whether they accept each stage; checks disk, GPUs, environments, the hub and the first rows; and
    scores reference solutions, which must get full marks, and known cheats, which must get none, with each stage's rewards.
    Exit status 2: a mistake in the recipe; 1: any other problem.
    """
    from pipelines.evaluation.sets import is_set

    if is_set(str(recipe)):
        from pipelines.cli.check_set import check_set

        check_set(str(recipe), sets or [], sample)
        return
    from pipelines.cli.check import check_recipe

    check_recipe(recipe, sets or [], sample, runs)


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for completion and help in editors."""
    from pipelines.recipe.json_schema import dump_schema

    typer.echo(dump_schema(), nl=False)


@app.command()
def algorithms(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Show one algorithm with its settings.", show_default=False),
    ] = None,
) -> None:
    """List the RL algorithms with what each does and needs, or show one with its settings and source."""
    from pipelines.cli.algorithms import print_algorithm, print_algorithms

    if name is None:
        print_algorithms()
    else:
        print_algorithm(name)


@app.command()
def doctor() -> None:
    """Show this machine's hardware, the environments, and how generated programs are isolated."""
    from pipelines.cli.doctor import print_doctor

    print_doctor()


def main() -> None:
    """Run the `pipeline` command; errors raised on purpose are one line and an exit status."""
    from pipelines.console.tables import escape_controls
    from pipelines.errors import PipelineError
    from pipelines.run.process import Stopped

    try:
        app()
    except PipelineError as error:
        # A message may quote data or generated text.
        print(escape_controls(f"error: {error}", keep="\n\t"), file=sys.stderr)
        if error.exit_status == 1 and sys.argv[1] == "run":
            print(f"complete steps are kept; fix the problem, then resume with: {_same_command()}", file=sys.stderr)
        sys.exit(error.exit_status)
    except Stopped as stopped:
        print(f"\nstopped; resume with: {_same_command()}", file=sys.stderr)
        sys.exit(128 + stopped.number)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone: `pipeline plan … | head`
        sys.exit(0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"error: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except Exception:
        print(
            "error: this is a bug in `pipeline`, not in your recipe; please report it with the traceback below",
            file=sys.stderr,
        )
        raise


def _same_command() -> str:
    """Return the command line as typed, without --fresh, which would not resume."""
    return shlex.join(["pipeline", *(word for word in sys.argv[1:] if word != "--fresh")])
