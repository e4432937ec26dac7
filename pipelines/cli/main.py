"""Every command; no logic. What a command needs is imported when it is called: `pipeline --help` must answer at once."""

from __future__ import annotations

import errno
import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.cli.data.commands import app as data_app
from pipelines.cli.env import app as environments_app
from pipelines.cli.rewards.commands import app as rewards_app

app = typer.Typer(
    name="pipeline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""Take a code model through supervised fine-tuning and reinforcement learning, as one YAML recipe says.

Begin with `pipeline run smoke.yaml`: a tiny model through all stages on this machine, in minutes.
Then `pipeline plan execverify.yaml`: what a real run would do.""",
)
app.add_typer(data_app(), name="data")
app.add_typer(environments_app(), name="env")
app.add_typer(rewards_app(), name="rewards")

RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe file; a bare name may be one of those shipped in recipes/.")
]
Sets = Annotated[
    Optional[list[str]],  # noqa: UP045 (typer reads the annotation at run time)
    typer.Option("--set", metavar="KEY=VALUE", help="Set a value over the recipe: --set stages.sft.learning_rate=2e-5."),
]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Where run directories lie: DIR/<name of the recipe>.")]
From = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--from", metavar="STAGE", help="Begin with this stage; take the models of those before it as they are."),
]
Until = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--until", metavar="STAGE", help="End with this stage."),
]
Smoke = Annotated[
    bool,
    typer.Option(
        "--smoke", help="Try it first: the same stages with a tiny model, few rows and few steps, on the CPU, in minutes."
    ),
]


@app.command()
def run(
    recipe: RecipePath,
    sets: Sets = None,
    from_stage: From = None,
    until_stage: Until = None,
    smoke: Smoke = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew; what earlier runs made is moved to replaced/.")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Train all stages of a recipe; what is done already is skipped.

    With --smoke all of them tiny, on the CPU, to find what is wrong before GPUs are paid for. Killed or failed half-way?
    The same command goes on from the last checkpoint.
    """
    from pipelines.cli.run import run_recipe
    from pipelines.run.selection import Selection

    run_recipe(recipe, sets or [], Selection(from_stage, until_stage, fresh), runs, smoke=smoke)


@app.command()
def plan(
    recipe: RecipePath,
    sets: Sets = None,
    from_stage: From = None,
    until_stage: Until = None,
    smoke: Smoke = False,
    runs: Runs = Path("runs"),
) -> None:
    """Print the steps of a recipe, their commands and configurations, and what would be skipped. Starts nothing."""
    from pipelines.cli.run import print_plan
    from pipelines.run.selection import Selection

    print_plan(recipe, sets or [], Selection(from_stage, until_stage), runs, smoke=smoke)


@app.command()
def check(
    recipe: RecipePath,
    sets: Sets = None,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=1, help="Check rewards on the first N rows of each source.")
    ] = 16,
    runs: Runs = Path("runs"),
) -> None:
    """Find what is wrong with a run before anything is trained. Trains and writes nothing.

    The pinned trainers are asked whether they take each stage; disk, GPUs, environments, the hub and the first rows are
    looked at. Each stage's rewards score the right solutions of some rows, which must get the best mark, and known cheats,
    which must get the worst. Exit status 2: a mistake in the recipe; 1: anything else that is wrong.
    """
    from pipelines.cli.check import check_recipe

    check_recipe(recipe, sets or [], sample, runs)


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, from which editors complete keys and explain them."""
    from pipelines.cli.run import print_schema

    print_schema()


@app.command()
def algorithms(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="NAME", help="One algorithm, with its settings.", show_default=False),
    ] = None,
) -> None:
    """Show the algorithms of reinforcement learning: what each does and needs; one by name with its settings and source."""
    from pipelines.cli.algorithms import print_algorithm, print_algorithms

    if name is None:
        print_algorithms()
    else:
        print_algorithm(name)


@app.command()
def doctor() -> None:
    """Show what this machine has, what is built, and what isolates the programs that a model writes."""
    from pipelines.cli.doctor import print_doctor

    print_doctor()


def main() -> None:
    """The `pipeline` command: one line and an exit status for every error raised on purpose."""
    from pipelines.console.tables import escape_controls
    from pipelines.errors import PipelineError
    from pipelines.run.process import Stopped

    try:
        app()
    except PipelineError as error:
        # What is wrong may be quoted from data or from what a model wrote.
        print(escape_controls(f"error: {error}", keep="\n\t"), file=sys.stderr)
        if error.exit_status == 1 and sys.argv[1] == "run":
            print(f"what was done stays done; once it is mended, go on with: {_same_command()}", file=sys.stderr)
        sys.exit(error.exit_status)
    except Stopped as stopped:
        print(f"\nstopped; go on with: {_same_command()}", file=sys.stderr)
        sys.exit(128 + stopped.number)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: `pipeline plan … | head`
        sys.exit(0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"error: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except Exception:
        print(
            "error: this is a defect of `pipeline` itself, not of your recipe; please report it with what follows",
            file=sys.stderr,
        )
        raise


def _same_command() -> str:
    """The command line as it was typed, without --fresh, which would begin anew instead of going on."""
    return shlex.join(["pipeline", *(word for word in sys.argv[1:] if word != "--fresh")])
