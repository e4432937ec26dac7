"""`pipeline env`: build, list and lock the trainers' environments."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pipelines.cli.help import App

app = App(help="Build, list and lock the trainers' environments.")

_Trainer = Annotated[
    Literal["llamafactory", "verl"] | None,
    typer.Argument(metavar="TRAINER", help="llamafactory or verl; default: both.", show_default=False),
]
_Platform = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="What to build for; auto: cuda if an NVIDIA GPU is found, else cpu.")
]
_Source = Annotated[
    Literal["registry", "git"] | None,
    typer.Option(
        help="Where the pinned source comes from: the package registry (by its hash) or git (by its tag).",
        show_default=False,
    ),
]
_Recipes = Annotated[
    str | None,
    typer.Option(
        metavar="TAG",
        help="Also download the verl-recipe repository at this tag, for stages with `entry` and `checkout: TAG`.",
        show_default=False,
    ),
]
_OnePlatform = Annotated[
    Literal["cpu", "cuda"] | None,
    typer.Option("--platform", help="One platform; default: both.", show_default=False),
]


@app.command("sync")
def sync_command(
    trainer: _Trainer = None, platform: _Platform = "auto", source: _Source = None, recipes: _Recipes = None
) -> None:
    """Build the pinned environments; do nothing if they are up to date.

    Each trainer has its own environment, because their pins conflict. They are built side by side.
    Packages come from where pip is configured to download them, and every file must have the hash in the lock. Safe to
    interrupt and to repeat.

    \b
    Examples:
      pipeline env sync                          both trainers, for this machine
      pipeline env sync verl --platform cuda     one trainer, for a GPU machine
      PIPELINE_ENVIRONMENTS=/big/disk pipeline env sync

    To use an existing Python instead (of a verl container, say), build nothing: name it in the recipe under
    `environments:`, or in PIPELINE_VERL_PYTHON or PIPELINE_LLAMAFACTORY_PYTHON.
    """
    from pipelines.environments import TRAINERS, detected_platform, pinned_environment
    from pipelines.environments.builds import Builds
    from pipelines.environments.recipes import download_recipes
    from pipelines.errors import InputError
    from pipelines.recipe.schema import is_tag
    from pipelines.run.process import signals_as_stopped

    if recipes is not None and (trainer == "llamafactory" or not is_tag(recipes)):
        raise InputError(f"--recipes {recipes}: expected a tag of verl-recipe, and the trainer verl")
    chosen = detected_platform() if platform == "auto" else platform
    wanted = [pinned_environment(name, chosen) for name in ([trainer] if trainer else TRAINERS)]
    with signals_as_stopped(), Builds(wanted, source=source) as builds:
        builds.wait_all()
    for each in wanted:
        typer.echo(f"{each.pin.trainer} {chosen}: {each.pin.name} {each.pin.version} is ready in {each.directory}")
    if recipes is not None:
        typer.echo(f"verl-recipe {recipes} is ready in {download_recipes(recipes)}")


@app.command("list")
def list_command() -> None:
    """List the environments: state, versions, size and path.

    A `stale` environment was built from another lock or pin; the next sync or run rebuilds it.
    """
    from pipelines.console.tables import print_rows
    from pipelines.environments.listing import COLUMNS, list_environments

    print_rows(COLUMNS, list_environments())


@app.command("lock")
def lock_command(
    trainer: _Trainer = None,
    platform: _OnePlatform = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Take the newest versions that fit.")] = False,
) -> None:
    """Resolve the locks of third_party/ after a change of their .in files.

    Locked versions are kept where they still fit. The CPU locks need the wheel of
    the CPU build of torch in a folder that pip is configured with (find-links).

    \b
    Examples:
      pipeline env lock verl --platform cuda
      pipeline env lock --upgrade                everything, to the newest
    """
    from pipelines.environments.locks import lock
    from pipelines.environments.pins import PLATFORMS, TRAINERS, pin

    for name in [trainer] if trainer else TRAINERS:
        for one in [platform] if platform else PLATFORMS:
            changed = lock(pin(name), one, upgrade=upgrade)
            typer.echo(f"{pin(name).lock(one)}: {f'{changed} lines differ' if changed else 'unchanged'}")
