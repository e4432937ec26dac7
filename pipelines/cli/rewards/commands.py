"""The commands of `pipeline rewards`. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import completion
from pipelines.cli.common import Isolation, Sandbox, in_sandbox, read_options
from pipelines.cli.help import App

app = App(help="List rewards, and try or check one without a trainer.")

_Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A reward: see `pipeline rewards list`.", autocompletion=completion.rewards),
]
_Rows = Annotated[Path, typer.Option(metavar="FILE", help="RL rows (parquet), as `pipeline data` writes them.")]
_Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the reward: --option max_tests=5."),
]
_File = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="A Python file that registers rewards (a plugin).")]


@app.command("list")
def list_command(file: _File = None) -> None:
    """List the rewards with their options and what they measure."""
    from pipelines.cli.rewards.scoring import print_rewards

    print_rewards(file)


@app.command("try")
def try_command(
    name: _Name,
    rows: _Rows,
    responses: Annotated[Path, typer.Option(metavar="FILE", help="Responses as JSON lines.")],
    options: _Options = None,
    file: _File = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write every score with its reasons as JSON lines."),
    ] = None,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
) -> None:
    """Score responses and print the reason of each score.

    Responses are JSON lines: {"id": …, "response": …}, with the id of the row (or "index", from 0); the response may be a list
    of texts. Rollout dumps of verl are accepted, too.

    \b
    Examples:
      pipeline rewards try white_box --rows rows.parquet --responses mine.jsonl
      pipeline rewards try code_tests --rows rows.parquet \\
        --responses mine.jsonl --option all_or_nothing=true -o scores.jsonl
      pipeline rewards try mine --file mine.py \\
        --rows rows.parquet --responses mine.jsonl
    """
    from pipelines.cli.rewards.scoring import try_reward

    with in_sandbox(isolation, sandbox):
        try_reward(name, file, read_options(options), rows, responses, output)


@app.command("check")
def check_command(
    name: _Name,
    rows: _Rows,
    sample: Annotated[int | None, typer.Option(metavar="N", min=1, help="Check N rows, spread over the file.")] = None,
    options: _Options = None,
    file: _File = None,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
) -> None:
    """Score reference solutions and known cheats.

    Each row's reference solution must get full marks, and known cheats none. Exit status 1 if a score is wrong: fix the
    reward or the rows before training.

    \b
    Examples:
      pipeline rewards check code_tests --rows train.parquet --sample 100
      pipeline rewards check white_box --rows train.parquet
    """
    from pipelines.cli.rewards.scoring import check_reward

    with in_sandbox(isolation, sandbox):
        check_reward(name, file, read_options(options), rows, sample)
