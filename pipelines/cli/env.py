"""`pipeline env`: the commands of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pipelines.environments.listing import Row

_Trainer = Annotated[
    Literal["llamafactory", "verl"] | None, typer.Argument(help="One trainer; both if not said.", show_default=False)
]
_Platform = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="What to build for; auto: cuda where an NVIDIA GPU is seen.")
]
_Source = Annotated[
    Literal["registry", "git"] | None,
    typer.Option(
        help="Where the pinned source comes from: the package registry (by its hash) or git (by its tag).",
        show_default=False,
    ),
]
_OnePlatform = Annotated[
    Literal["cpu", "cuda"] | None,
    typer.Option("--platform", help="One platform; both if not said.", show_default=False),
]

_SYNC_HELP = """Build the pinned environments, or do nothing if they are up to date.

Each trainer has an environment of its own, because their pins exclude each other. Packages come from wherever pip is
configured to take them, and every file must have the hash that the lock says. Safe to interrupt and to repeat.

\b
Examples:
  pipeline env sync                          both trainers, for this machine
  pipeline env sync verl --platform cuda     one trainer, for a GPU machine
  PIPELINE_ENVIRONMENTS=/big/disk pipeline env sync

To use an existing Python instead (a verl container, say), build nothing: name it in the recipe under
`environments:`, or in PIPELINE_VERL_PYTHON or PIPELINE_LLAMAFACTORY_PYTHON."""

_LIST_HELP = """Show what is built, in which versions, how large and where.

An environment that is `stale` was built from another lock or pin; the next sync or run builds it again."""

_LOCK_HELP = """Resolve the locks of third_party/ again, after a change of their .in files.

Versions already locked are kept where they still fit. The CPU locks need the wheel of
the CPU build of torch in a folder that pip is configured with (find-links).

\b
Examples:
  pipeline env lock verl --platform cuda
  pipeline env lock --upgrade                everything, to the newest that fits"""


def app() -> typer.Typer:
    """The sub-application `env`, to be mounted into the command line."""
    env = typer.Typer(
        help="The trainers' pinned environments: build them, list them.", no_args_is_help=True, rich_markup_mode=None
    )
    env.command("sync", help=_SYNC_HELP)(sync_command)
    env.command("list", help=_LIST_HELP)(list_command)
    env.command("lock", help=_LOCK_HELP)(lock_command)
    return env


def sync_command(trainer: _Trainer = None, platform: _Platform = "auto", source: _Source = None) -> None:
    """Builds what is missing and says in a line per trainer where it is."""
    from pipelines.environments import TRAINERS, sync
    from pipelines.environments.platform import detected_platform

    chosen = detected_platform() if platform == "auto" else platform
    for name in [trainer] if trainer else TRAINERS:
        built = sync(name, chosen, source=source)
        typer.echo(f"{name} {chosen}: {built.pin.name} {built.pin.version} is ready in {built.directory}")


def list_command() -> None:
    """A table on a terminal, aligned text elsewhere."""
    import sys

    from pipelines.environments.listing import listing

    rows = listing()
    if sys.stdout.isatty():
        _print_table(rows)
    else:
        typer.echo(_aligned(rows))


def lock_command(
    trainer: _Trainer = None,
    platform: _OnePlatform = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Take the newest versions that fit.")] = False,
) -> None:
    """Writes the locks again and says how much of each changed."""
    from pipelines.environments.locks import lock
    from pipelines.environments.pins import PLATFORMS, TRAINERS, pin

    for name in [trainer] if trainer else TRAINERS:
        for one in [platform] if platform else PLATFORMS:
            changed = lock(pin(name), one, upgrade=upgrade)
            typer.echo(f"{pin(name).lock(one)}: {f'{changed} lines differ' if changed else 'unchanged'}")


_COLUMNS = ("trainer", "platform", "state", "versions", "size", "path")


def _cells(row: Row) -> tuple[str, ...]:
    from pipelines.environments.listing import readable

    versions = ", ".join(f"{name} {version}" for name, version in row.versions)
    return (
        row.trainer,
        row.platform,
        row.state,
        versions,
        readable(row.bytes_on_disk) if row.bytes_on_disk else "-",
        str(row.path),
    )


def _print_table(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*_COLUMNS, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        state = {"built": "green", "not built": "dim"}.get(row.state, "yellow")
        trainer, platform, name, *rest = _cells(row)
        table.add_row(trainer, platform, f"[{state}]{name}[/{state}]", *rest)
    Console().print(table)


def _aligned(rows: list[Row]) -> str:
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells)
