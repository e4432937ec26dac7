"""What several commands share: arguments, `KEY=VALUE` options, the sandbox, errors in one line."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipelines.cli import completion
from pipelines.errors import InputError, StepError

if TYPE_CHECKING:
    from pipelines.environments import Environment
    from rewards.sandbox import Settings

Recipe = Annotated[
    Path,
    typer.Argument(
        metavar="RECIPE",
        help="A recipe file, or the name of one that ships: see `pipeline recipes`.",
        autocompletion=completion.recipes,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value of the recipe: --set stages.sft.learning_rate=2e-5.",
        autocompletion=completion.settings,
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="Start with this stage; use the models of earlier stages as they are.",
        autocompletion=completion.stages,
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="STAGE", help="Stop after this stage.", autocompletion=completion.stages),
]
Only = Annotated[
    str | None,
    typer.Option(
        "--stage",
        metavar="STAGE",
        help="Only this stage: --from and --until in one.",
        show_default=False,
        autocompletion=completion.stages,
    ),
]
Smoke = Annotated[
    bool,
    typer.Option(
        "--smoke", help="Try the recipe on the CPU in minutes: the same stages with a tiny model, few rows and few steps."
    ),
]
GpuMemory = Annotated[
    float | None,
    typer.Option(
        "--gpu-memory", metavar="GB", min=1, help="Memory of each GPU, such as 80. Default: that of this machine's GPUs."
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse to continue a run whose complete steps were executed by other software or hardware."),
]
Adopt = Annotated[
    bool,
    typer.Option("--adopt", help="Take over the run directory of another recipe file with the same name."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Stages = tuple[str | None, str | None]
"""The values of --from and --until."""
Runs = Annotated[
    Path, typer.Option("--runs", metavar="DIR", help="Parent of the run directories, which have the names of the recipes.")
]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run directory, or the name of a run in runs/.", show_default=False)
]
Isolation = Annotated[
    Literal["strong", "weak"],
    typer.Option(help="weak: run programs even if the kernel offers less isolation (see `pipeline doctor`)."),
]
Sandbox = Annotated[
    str | None, typer.Option("--sandbox", metavar="URL", help="A SandboxFusion service; default: the local sandbox.")
]


def read_options(texts: Sequence[str] | None) -> dict[str, Any]:
    """Parse `KEY=VALUE` options; a value is YAML, as for `--set`.

    Raises:
        InputError: a text is not `KEY=VALUE`, or a value is not YAML.
    """
    from pipelines.recipe.nodes import Origin
    from pipelines.recipe.reading import read_scalar

    options: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--option {text}: expected KEY=VALUE")
        options[name] = read_scalar(value, Origin(Path.cwd(), f"--option {name}", (0, 0))).plain()
    return options


def choose_stages(only: str | None, first: str | None, last: str | None) -> Stages:
    """Return the first and the last stage.

    Raises:
        InputError: --stage is given with one of the others.
    """
    if only is not None and (first or last):
        raise InputError("use either --stage, or --from and --until")
    return (only, only) if only is not None else (first, last)


def run_command(recipe: Path, sets: Sequence[str], runs: Path, between: Stages = (None, None), *, smoke: bool = False) -> str:
    """Return the `pipeline run` command line for a recipe.

    Args:
        recipe: The recipe.
        sets: `key=value` options.
        runs: The parent of the run directories.
        between: The first and the last stage.
        smoke: Whether to run the tiny version of the recipe.
    """
    words = ["pipeline", "run", str(recipe), *(word for each in sets for word in ("--set", each))]
    first, last = between
    if first is not None and first == last:
        words += ["--stage", first]
    else:
        words += ["--from", first] if first else []
        words += ["--until", last] if last else []
    words += ["--smoke"] if smoke else []
    return shlex.join([*words, *(["--runs", str(runs)] if runs != Path("runs") else [])])


def ensure_environment(given: Environment) -> None:
    """Build a pinned environment that is missing or out of date; check one that the user chose."""
    from pipelines.environments.builds import sync

    if not given.pinned:
        given.check()
    elif not given.is_ready():
        sync(given.pin.trainer, given.platform)


def same_command() -> list[str]:
    """Return the command line as typed, without --fresh, which would not resume, and --adopt, which is done."""
    return ["pipeline", *(word for word in sys.argv[1:] if word not in ("--fresh", "--adopt"))]


@contextmanager
def in_sandbox(isolation: Literal["strong", "weak"], url: str | None) -> Iterator[Settings]:
    """Run programs in the chosen sandbox; report its failures as errors of the command line."""
    from rewards import sandbox

    settings = sandbox.Settings(url=url, isolation=isolation)
    sandbox.configure(settings)
    try:
        yield settings
    except sandbox.SandboxError as error:
        raise StepError(f"{error}; see `pipeline doctor`") from error
    finally:
        sandbox.close_all()
