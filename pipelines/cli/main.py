"""The commands of `pipeline`. Each imports what it needs when it is called, so that `pipeline --help` is instant."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.common import Isolation, Recipe, Runs, Sandbox, Sets, same_command
from pipelines.cli.data.commands import app as data_app
from pipelines.cli.env import app as environments_app
from pipelines.cli.models.commands import add_model_commands
from pipelines.cli.rewards.commands import app as rewards_app
from pipelines.cli.runs.commands import add_run_commands

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

_RESUMABLE = {"run": "complete steps are kept", "evaluate": "finished responses are kept"}
"""Command -> what is kept when it fails."""

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
def evaluate(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET", help="A model folder, a hub name, a run, RUN/STAGE or RUN/STAGE@STEP.", show_default=False
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on", metavar="SET", help="A set by name, its file, or CONVERTER:SOURCE; repeat it for several. Default: own."
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Responses per problem. Default: the set's, mostly 1.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(metavar="T", min=0, help="0 is greedy. Default: the set's, mostly 0; 1 with several samples."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Use the first N problems of each set.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", min=1, help="Longest response. Default: the set's.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Folder of the results. Default: RUN/evaluations/… or evaluations/…."
        ),
    ] = None,
    no_tool: Annotated[bool, typer.Option("--no-tool", help="Evaluate without the recipe's tool.")] = False,
    tensor_parallel: Annotated[
        int | None,
        typer.Option("--tensor-parallel", metavar="N", min=1, help="GPUs per copy of the model. Default: the recipe's, or 1."),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="A B", help="Print the difference of two evaluations or evaluated targets."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
) -> None:
    """Measure a model: generate responses to evaluation sets with vLLM, and score them with the project's rewards.

    The set `own` is the validation rows of a run's RL stage. Step 0 of a stage is the model that it starts from. Killed and
    started again, the same command resumes: nothing that was generated or scored is done again.

    \b
    Examples:
      pipeline evaluate runs/smoke                                # the final model of a run on its own validation rows
      pipeline evaluate runs/smoke/stage-one@0 --on humaneval     # the model before the stage
      pipeline evaluate ./my-model --on humaneval --on mbpp --samples 10 --temperature 0.8
      pipeline evaluate ./my-model --on gsm8k:questions.jsonl     # a converter with your file
      pipeline evaluate --compare runs/smoke/sft runs/smoke/stage-two
    """
    from pipelines.cli.evaluate import evaluate_target, print_comparison
    from pipelines.errors import InputError
    from pipelines.evaluation.rendering import Options

    if compare is not None and target is None:
        print_comparison(*compare, as_json=as_json)
        return
    if target is None or compare is not None:
        raise InputError("expected either TARGET or --compare A B; see `pipeline evaluate --help`")
    chosen = {"url": sandbox, "isolation": isolation}
    options = Options(
        sets=tuple(on or ()),
        samples=samples,
        temperature=temperature,
        max_tokens=max_tokens,
        limit=limit,
        tool=not no_tool,
        tensor_parallel=tensor_parallel,
        sandbox=chosen if sandbox or isolation != "strong" else None,
    )
    evaluate_target(target, options, output, as_json=as_json)


add_run_commands(app)
add_model_commands(app)


@app.command()
def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run directories, or names of runs in runs/.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Default: RUN/report.html; ./report.html for several runs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the data of the page as JSON instead.")] = False,
) -> None:
    """Write what there is to see of a run, or of several side by side, as one HTML file.

    The chain of stages, curves, evaluations, reward health, samples, configuration and provenance. The file needs no network
    and no other file. It can be written while the run continues; `report: live` in the recipe keeps it current.

    \b
    Examples:
      pipeline report runs/smoke                           # runs/smoke/report.html
      pipeline report runs/grpo runs/dapo -o both.html     # curves over each other, and how the recipes differ
      pipeline report runs/smoke --json                    # the same data for programs
    """
    from pipelines.cli.runs.report import write_report

    write_report(runs, output, as_json=as_json)


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

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 (until the process ends)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except PipelineError as error:
        # A message may quote data or generated text.
        print(escape_controls(f"error: {error}", keep="\n\t"), file=sys.stderr)
        if error.exit_status == 1 and sys.argv[1] in _RESUMABLE:
            print(
                f"{_RESUMABLE[sys.argv[1]]}; fix the problem, then resume with: {shlex.join(same_command())}", file=sys.stderr
            )
        _print_notes(error)
        sys.exit(error.exit_status)
    except Stopped as stopped:
        print(f"\nstopped; resume with: {shlex.join(same_command())}", file=sys.stderr)
        _print_notes(stopped)
        sys.exit(128 + stopped.number)
    except BrokenPipeError:
        _discard_output()  # the reader has gone: `pipeline plan … | head`
        sys.exit(0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"error: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        _discard_output()
        sys.exit(1)
    except Exception:
        print(
            "error: this is a bug in `pipeline`, not in your recipe; please report it with the traceback below",
            file=sys.stderr,
        )
        raise


def _print_notes(error: BaseException) -> None:
    """Print what was added to an error: the commands that show more."""
    for note in getattr(error, "__notes__", ()):
        print(note, file=sys.stderr)


def _discard_output() -> None:
    """Discard what is still to be written to standard output when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
