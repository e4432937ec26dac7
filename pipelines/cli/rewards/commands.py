"""The commands of `pipeline rewards`. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipelines.cli.common import Isolation, Sandbox

_Name = Annotated[str, typer.Argument(metavar="NAME", help="A reward: see `pipeline rewards list`.", show_default=False)]
_Rows = Annotated[
    Path, typer.Option("--rows", metavar="FILE", help="RL rows (parquet), as `pipeline data` writes them.", show_default=False)
]
_Options = Annotated[
    Optional[list[str]],  # noqa: UP045 (typer reads the annotation at run time)
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the reward: --option max_tests=5."),
]
_File = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--file", metavar="FILE", help="A Python file that registers rewards (a plugin).", show_default=False),
]
_TRY_HELP = """Score responses without a trainer and print the reason of each score.

Responses are JSON lines: {"id": …, "response": …}, with the id of the row (or "index", from 0); the response may be a list of
texts. Rollout dumps of verl are accepted, too.

\b
Examples:
  pipeline rewards try white_box --rows train.parquet --responses mine.jsonl
  pipeline rewards try code_tests --rows train.parquet --responses mine.jsonl --option all_or_nothing=true -o out.jsonl
  pipeline rewards try mine --file my_reward.py --rows train.parquet --responses mine.jsonl"""

_CHECK_HELP = """Score each row's reference solution, which must get full marks, and known cheats, which must get none.

Exit status 1 if a score is wrong: fix the reward or the rows before training.

\b
Examples:
  pipeline rewards check code_tests --rows train.parquet --sample 100
  pipeline rewards check white_box --rows train.parquet"""


def app() -> typer.Typer:
    """Return the command group `rewards`."""
    rewards = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="List rewards, and try or check one without a model or a trainer.",
    )
    rewards.command("list")(list_command)
    rewards.command("try", help=_TRY_HELP)(try_command)
    rewards.command("check", help=_CHECK_HELP)(check_command)
    return rewards


def list_command(file: _File = None) -> None:
    """List the rewards with their sources, options and what they measure."""
    from pipelines.cli.rewards.scoring import print_rewards

    print_rewards(file)


def try_command(
    name: _Name,
    rows: _Rows,
    responses: Annotated[
        Path, typer.Option("--responses", metavar="FILE", help="Responses as JSON lines.", show_default=False)
    ],
    options: _Options = None,
    file: _File = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", metavar="FILE", help="Write every score with its reasons as JSON lines."),
    ] = None,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
) -> None:
    from pipelines.cli.rewards.scoring import Chosen, try_reward

    try_reward(Chosen(name, options or [], file, isolation, sandbox), rows, responses, output)


def check_command(
    name: _Name,
    rows: _Rows,
    sample: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--sample", metavar="N", min=1, help="Check N rows, spread over the file.", show_default=False),
    ] = None,
    options: _Options = None,
    file: _File = None,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
) -> None:
    from pipelines.cli.rewards.scoring import Chosen, check_reward

    check_reward(Chosen(name, options or [], file, isolation, sandbox), rows, sample)
