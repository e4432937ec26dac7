"""The commands of `pipeline data`. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from pipelines.cli.common import Isolation, Recipe, Runs, Sandbox, Sets

_File = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--file", metavar="FILE", help="A Python file with a custom converter.", show_default=False),
]
_Options = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the converter: --option max_chars=2000."),
]
_Ray = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Convert on a Ray cluster: host:port, `auto`, or `local` to start one. The sources must have the same paths on "
        "all machines; the rows are the same.",
        show_default=False,
    ),
]

_PREPARE_HELP = """Make the rows of a recipe's stages, as `pipeline run` would, which then skips these steps.

\b
Examples:
  pipeline data prepare smoke.yaml
  pipeline data prepare execverify.yaml --stage stage-one"""

_CONVERT_HELP = """Convert a source into one parquet file of rows, or each file of a folder into one of its own.

A source is a .jsonl, .json (both also .gz) or .parquet file, a folder of such files, or a name on the HuggingFace hub:
owner/name, owner/name:subset@split. Records that give no row are written next to OUT with line and reason: rows.parquet ->
rows.rejects.jsonl.

\b
Examples:
  pipeline data convert execverify_rl rl_dataset.json -o rows.parquet
  pipeline data convert leetcode LeetCodeDataset.jsonl.gz -o leetcode.parquet --shape rl --option max_tests=5
  pipeline data convert eurus PRIME-RL/Eurus-2-RL-Data@train -o eurus.parquet
  pipeline data convert bootcamp bootcamps/ -o rows/ --per-file
  pipeline data convert mine notes.jsonl -o rows.parquet --file my_converter.py"""

_TRACE_HELP = """Trace the calls of Python functions and make questions about their execution, in the format of ExecVerify.

FILE is a Python file of functions with calls, as examples (>>>) in docstrings or at the file's top level, or a folder of such
files. The converter execverify_rl reads the output. Calls that give no row are written next to OUT with line and reason.

\b
Examples:
  pipeline data trace programs.py -o questions.jsonl
  pipeline data trace src/ -o questions.jsonl --option task=both --option questions=4"""

_SHOW_HELP = """Print a few rows of a file, or records of a source, in readable form.

\b
Examples:
  pipeline data show rows.parquet
  pipeline data show rows.parquet --id leetcode/two-sum --full
  pipeline data show rl_dataset.jsonl --row 118"""


def app() -> typer.Typer:
    """Return the command group `data`."""
    data = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Convert, trace, show and prepare training rows.",
    )
    data.command("converters")(converters_command)
    data.command("convert", help=_CONVERT_HELP)(convert_command)
    data.command("trace", help=_TRACE_HELP)(trace_command)
    data.command("show", help=_SHOW_HELP)(show_command)
    data.command("prepare", help=_PREPARE_HELP)(prepare_command)
    return data


def prepare_command(
    recipe: Recipe,
    stage: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--stage", metavar="STAGE", help="Only the rows of this stage.", show_default=False),
    ] = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
    ray: _Ray = None,
) -> None:
    from pipelines.cli.data.prepare import prepare_rows

    prepare_rows(recipe, sets or [], stage, runs, ray)


def convert_command(
    converter: Annotated[
        str,
        typer.Argument(metavar="CONVERTER", help="A converter: see `pipeline data converters`.", show_default=False),
    ],
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file, a folder of files, or a name on the hub.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="OUT", help="A .parquet file; with --per-file a folder.", show_default=False),
    ],
    shape: Annotated[
        Optional[Literal["sft", "rl"]],  # noqa: UP045
        typer.Option(help="The shape of the rows; required if the converter makes both."),
    ] = None,
    options: _Options = None,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--limit", metavar="N", min=1, help="Only the first N records.", show_default=False),
    ] = None,
    file: _File = None,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Shuffle the rows.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of --shuffle.")] = 17,
    per_file: Annotated[bool, typer.Option("--per-file", help="Write one parquet file per file of the source.")] = False,
    max_rejects: Annotated[
        float, typer.Option("--max-rejects", metavar="SHARE", min=0, max=1, help="Maximum share of rejected records.")
    ] = 0.01,
    tokenizer: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tokenizer", metavar="DIR", help="A model folder or hub name: count the tokens of the prompts."),
    ] = None,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
    ray: _Ray = None,
) -> None:
    from pipelines.cli.data.convert import Arguments, convert

    convert(
        Arguments(
            converter=converter,
            source=source,
            output=output,
            shape=shape,
            options=options or [],
            limit=limit,
            file=file,
            shuffle=shuffle,
            seed=seed,
            per_file=per_file,
            max_rejects=max_rejects,
            tokenizer=tokenizer,
            isolation=isolation,
            url=sandbox,
            ray=ray,
        )
    )


def trace_command(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A Python file, or a folder of them.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="A .jsonl file.", show_default=False)],
    options: _Options = None,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
) -> None:
    from pipelines.cli.data.trace import trace

    trace(source, output, options or [], isolation, sandbox)


def show_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows, or a source that a converter reads.", show_default=False)],
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Number of rows, from the first.")] = 3,
    row: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--row", metavar="N", min=0, help="One row: its index from 0; in a source its line.", show_default=False),
    ] = None,
    id: Annotated[  # noqa: A002 (the option's name)
        Optional[str],  # noqa: UP045
        typer.Option("--id", metavar="ID", help="The row with this id.", show_default=False),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Do not shorten long texts.")] = False,
) -> None:
    from pipelines.cli.data.show import show

    show(file, count, row, id, full=full)


def converters_command(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="NAME", help="Show one converter with its options.", show_default=False),
    ] = None,
    file: _File = None,
) -> None:
    """List the converters with the rows they make, their options and what they read."""
    from pipelines.cli.data.converters import print_converter, print_converters

    print_converters(file) if name is None else print_converter(name, file)
