"""The commands of `pipeline`. Each imports what it needs when it is called, so that `pipeline --help` is instant."""

from __future__ import annotations

import errno
import gc
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cli import completion
from pipelines.cli.common import (
    Adopt,
    From,
    GpuMemory,
    Isolation,
    Json,
    Only,
    Recipe,
    Runs,
    Sandbox,
    Sets,
    Smoke,
    Strict,
    Until,
    choose_stages,
    same_command,
)
from pipelines.cli.data.commands import app as data_app
from pipelines.cli.env import app as environments_app
from pipelines.cli.help import MEASURE, PARTS, RUN, START, App, UsageError, describe_usage_error
from pipelines.cli.models.commands import add_model_commands
from pipelines.cli.rewards.commands import app as rewards_app
from pipelines.cli.runs.commands import add_run_commands

app = App(
    name="pipeline",
    help="""Take a code model through supervised fine-tuning and reinforcement learning with one YAML recipe.

The first run, a tiny model through all stages in minutes:

\b
    pipeline run smoke.yaml
""",
)

_RESUMABLE = {"run": "complete steps are kept", "evaluate": "finished responses are kept"}
"""Command -> what is kept when it fails."""


_FILE_ERRORS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), ("cannot be written", 1)),
    errno.EROFS: ("cannot be written", 2),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ESTALE), ("cannot be opened", 2)),
}
"""Errors of files that are no bugs -> what cannot be done, and the exit status."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from pipelines.cli.version import print_version

        print_version()
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Show the versions of this project, Python and the trainers, and whether their environments are built.",
        ),
    ] = False,
) -> None:
    """Options of `pipeline` itself; `--version` is handled by its callback."""


@app.command(rich_help_panel=START)
def recipes(as_json: Json = False) -> None:
    """List the recipes and evaluation sets that ship.

    A line per recipe: what it does, its hardware and its data.
    """
    from pipelines.cli.recipes import print_recipes

    print_recipes(as_json=as_json)


@app.command(rich_help_panel=START)
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the run, and of the file: NAME.yaml.")],
    base: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="RECIPE",
            help="The recipe to extend: see `pipeline recipes`.",
            autocompletion=completion.recipes,
        ),
    ],
) -> None:
    """Write a recipe that extends another one.

    Its keys worth changing are comments with the values of the extended recipe: remove the # of a line and change its value. An
    existing file is never overwritten.

    \b
    Examples:
      pipeline init mine --from execverify.yaml
      pipeline init first --from smoke.yaml
    """
    from pipelines.cli.init import write_recipe

    write_recipe(name, base)


@app.command(rich_help_panel=START)
def explain(
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY",
            help="A key of a recipe, its end (rollout.samples), or a key of a trainer.",
            autocompletion=completion.keys,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Explain a key of a recipe or of a trainer.

    Its meaning, type, default and allowed values, and where it goes: which key of the trainer a key of the recipe sets.

    \b
    Examples:
      pipeline explain rollout.samples
      pipeline explain actor_rollout_ref.rollout.n
      pipeline explain cutoff_len
    """
    from pipelines.cli.explain import print_explanation

    print_explanation(key, as_json=as_json)


@app.command(rich_help_panel=START)
def doctor() -> None:
    """Show this machine's hardware, environments and sandbox."""
    from pipelines.cli.doctor import print_doctor

    print_doctor()


@app.command(rich_help_panel=RUN)
def plan(
    recipe: Recipe,
    sets: Sets = None,
    from_stage: From = None,
    until_stage: Until = None,
    stage: Only = None,
    smoke: Smoke = False,
    runs: Runs = Path("runs"),
    brief: Annotated[
        bool | None,
        typer.Option(
            "--brief/--full",
            help="Print the steps only, or also their commands and configurations. Default: --brief on a terminal.",
            show_default=False,
        ),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Print what differs from the last run, by step, and what would run again.")
    ] = False,
    strict: Strict = False,
) -> None:
    """Print the steps of a recipe and which would be skipped.

    Starts nothing. Exit status 2: no machine could run the recipe.
    """
    from pipelines.cli.plan import print_plan

    stages = choose_stages(stage, from_stage, until_stage)
    print_plan(recipe, sets or [], runs, stages, smoke=smoke, brief=brief, diff=diff, strict=strict)


@app.command(rich_help_panel=RUN)
def check(
    recipe: Recipe,
    sets: Sets = None,
    from_stage: From = None,
    until_stage: Until = None,
    stage: Only = None,
    smoke: Smoke = False,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=1, help="Check rewards on the first N rows of each source.")
    ] = 16,
    runs: Runs = Path("runs"),
    gpu_memory: GpuMemory = None,
) -> None:
    """Validate a recipe and this machine before training.

    RECIPE may also be an evaluation set. Trains and writes nothing. Asks the pinned trainers whether they accept each stage;
    checks disk, GPUs, environments, the hub and the first rows; and scores reference solutions, which must get full marks, and
    known cheats, which must get none, with each stage's rewards.

    Exit status 2: a mistake in the recipe; 1: any other problem.
    """
    from pipelines.evaluation.sets import is_set

    stages = choose_stages(stage, from_stage, until_stage)
    if is_set(str(recipe)):
        from pipelines.cli.check_set import check_set

        if smoke or any(stages):
            from pipelines.errors import InputError

            raise InputError(f"{recipe} is an evaluation set; --smoke, --from, --until and --stage are for recipes")
        check_set(str(recipe), sets or [], sample)
        return
    from pipelines.cli.check import check_recipe

    check_recipe(recipe, sets or [], sample, runs, stages, smoke=smoke, gpu_memory=gpu_memory)


@app.command(rich_help_panel=RUN)
def estimate(
    recipe: Recipe,
    sets: Sets = None,
    smoke: Smoke = False,
    gpu_memory: GpuMemory = None,
    throughput: Annotated[
        list[str] | None,
        typer.Option(metavar="TOKENS", help="Tokens per second of each device, or STAGE=TOKENS; repeat it for several stages."),
    ] = None,
    measured: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Use the speed of a run's stages of the same names.", autocompletion=completion.runs),
    ] = None,
    price: Annotated[float | None, typer.Option(metavar="PRICE", min=0, help="Price of a device for an hour.")] = None,
    terms: Annotated[bool, typer.Option("--terms", help="Print what the memory consists of.")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Estimate memory, time and cost of each stage.

    Starts nothing, and refuses nothing: figures are for the longest rows that the recipe allows.
    """
    from pipelines.cli.estimate import print_estimates

    print_estimates(
        recipe,
        sets or [],
        runs,
        smoke=smoke,
        gpu_memory=gpu_memory,
        throughput=throughput or [],
        price=price,
        measured=measured,
        terms=terms,
    )


@app.command(rich_help_panel=RUN)
def run(
    recipe: Recipe,
    sets: Sets = None,
    from_stage: From = None,
    until_stage: Until = None,
    stage: Only = None,
    smoke: Smoke = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run all steps again; keep earlier results in replaced/.")] = False,
    strict: Strict = False,
    adopt: Adopt = False,
    runs: Runs = Path("runs"),
    detach: Annotated[
        bool, typer.Option("--detach", help="Run in the background, with the output in terminal.log of the run directory.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print only warnings, errors and the end.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Also print the trainers' logs.")] = False,
) -> None:
    """Train all stages of a recipe; complete steps are skipped.

    A training that fails is resumed by itself; a run that was killed resumes from the last checkpoint with the same command.
    """
    from pipelines.cli.run import run_recipe
    from pipelines.errors import InputError

    if quiet and verbose:
        raise InputError("use either --quiet or --verbose")
    run_recipe(
        recipe,
        sets or [],
        runs,
        *choose_stages(stage, from_stage, until_stage),
        fresh=fresh,
        smoke=smoke,
        strict=strict,
        adopt=adopt,
        detached=detach,
        detail="quiet" if quiet else "verbose" if verbose else "normal",
    )


@app.command(rich_help_panel=RUN)
def submit(
    recipe: Recipe,
    to: Annotated[
        Literal["slurm", "ray", "kuberay"], typer.Option("--to", help="The cluster; its settings are `launch` in the recipe.")
    ],
    sets: Sets = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            metavar="N,N,...",
            help="Run once with each seed, as NAME-seed-N; a job array of Slurm.",
            show_default=False,
        ),
    ] = None,
    smoke: Smoke = False,
    adopt: Adopt = False,
    runs: Runs = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the script or manifest; write and start nothing.")] = False,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Print the job's log until it ends.")] = False,
) -> None:
    """Run a recipe on a cluster: Slurm, Ray or KubeRay.

    The run directory must be on a file system that all nodes share. A Slurm job that reaches its time limit is requeued and
    resumes. Submit it again to resume a run that failed or was stopped.

    \b
    Examples:
      pipeline submit execverify.yaml --to slurm --dry-run
      pipeline submit mine.yaml --to slurm --dry-run    # the script
      pipeline submit mine.yaml --to slurm --seeds 1,2,3
      pipeline submit mine.yaml --to ray --follow
      pipeline submit mine.yaml --to kuberay --dry-run | kubectl apply -f -
    """
    from pipelines.cli.submit import Request, read_seeds, submit_recipe

    submit_recipe(Request(recipe, sets or [], to, runs, read_seeds(seeds), smoke, adopt), dry_run=dry_run, follow=follow)


@app.command(rich_help_panel=MEASURE)
def evaluate(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="A model folder, a hub name, a run, RUN/STAGE or RUN/STAGE@STEP.",
            show_default=False,
            autocompletion=completion.runs,
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            metavar="SET",
            help="A set by name, its file, or CONVERTER:SOURCE; repeat it for several. Default: own.",
            autocompletion=completion.evaluation_sets,
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
            "-o", "--output", metavar="DIR", help="Folder of the results. Default: a folder in RUN/evaluations or evaluations."
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
    as_json: Json = False,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
) -> None:
    """Measure a model on evaluation sets.

    Generates responses with vLLM, and scores them with the project's rewards. The set `own` is the validation rows of a run's
    RL stage. Step 0 of a stage is the model that it starts from. Killed and started again, the same command resumes: nothing
    that was generated or scored is done again.

    \b
    Examples:
      pipeline evaluate runs/smoke
      pipeline evaluate runs/smoke/stage-one@0 --on humaneval
      pipeline evaluate ./model --on mbpp --samples 10 --temperature 0.8
      pipeline evaluate ./model --on gsm8k:questions.jsonl
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
app.add_typer(data_app, name="data", rich_help_panel=PARTS)
app.add_typer(rewards_app, name="rewards", rich_help_panel=PARTS)


@app.command(rich_help_panel=PARTS)
def algorithms(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Show one algorithm with its settings.",
            show_default=False,
            autocompletion=completion.algorithms,
        ),
    ] = None,
) -> None:
    """List the RL algorithms, or show one with its settings."""
    from pipelines.cli.algorithms import print_algorithm, print_algorithms

    if name is None:
        print_algorithms()
    else:
        print_algorithm(name)


app.add_typer(environments_app, name="env", rich_help_panel=PARTS)


@app.command(rich_help_panel=PARTS)
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    from pipelines.recipe.json_schema import dump_schema

    print(dump_schema(), end="")


def main() -> None:
    """Run the `pipeline` command; errors raised on purpose are one line and an exit status."""
    from pipelines.console.streams import prepare_streams
    from pipelines.console.tables import escape_controls
    from pipelines.errors import PipelineError, Stopped

    # What a command imports lives until its end: searching it for garbage takes a fifteenth of the time of `pipeline plan`.
    gc.set_threshold(200_000, 20, 20)
    prepare_streams()
    if not {"-h", "--help", "--version"} & {*sys.argv}:
        _check_folder()
    try:
        try:
            status = app.narrow("".join(sys.argv[1:2]))(standalone_mode=False)
        finally:
            sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except UsageError as error:
        message = describe_usage_error(error)
        if message is None:
            error.show()  # type: ignore[attr-defined]
        else:
            print(escape_controls(f"error: {message}"), file=sys.stderr)
        sys.exit(2)
    except typer.Abort:
        print("aborted", file=sys.stderr)
        sys.exit(1)
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
        if (described := describe_file_error(error)) is None:
            raise
        message, status = described
        print(escape_controls(f"error: {message}"), file=sys.stderr)
        _discard_output()
        sys.exit(status)
    except Exception:
        print(
            "error: this is a bug in `pipeline`, not in your recipe; please report it with the traceback below",
            file=sys.stderr,
        )
        raise


def describe_file_error(error: OSError) -> tuple[str, int] | None:
    """Return the message and the exit status of an error that is no bug; None if it may be one."""
    if error.errno == errno.ENOENT and "No usable temporary directory" in str(error.strerror):
        return f"n{str(error.strerror)[1:]}; set TMPDIR", 2
    if error.errno not in _FILE_ERRORS:
        return None
    what, status = _FILE_ERRORS[error.errno]
    return f"{error.filename or 'a file'} {what}: {error.strerror}", status


def _check_folder() -> None:
    """Check that the current folder exists: relative paths have no meaning without it."""
    try:
        Path.cwd()
    except OSError as error:
        print(f"error: the current folder cannot be used: {error.strerror}; change to another one", file=sys.stderr)
        sys.exit(2)


def _print_notes(error: BaseException) -> None:
    """Print what was added to an error: the commands that show more."""
    for note in getattr(error, "__notes__", ()):
        print(note, file=sys.stderr)


def _discard_output() -> None:
    """Discard what is still to be written to standard output when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
