"""`pipeline data`, as a person types its commands. What a command needs is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

_Recipe = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe file; a bare name may be one of those shipped in recipes/.")
]
_Sets = Annotated[
    Optional[list[str]],  # noqa: UP045 (typer reads the annotation at run time)
    typer.Option("--set", metavar="KEY=VALUE", help="Set a value over the recipe: --set stages.sft.data.max_rejects=0.05."),
]
_Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Where run directories lie: DIR/<name of the recipe>.")]
_File = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--file", metavar="FILE", help="A Python file that has the converter (one of your own).", show_default=False),
]
_Options = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the converter: --option max_chars=2000."),
]
_Isolation = Annotated[
    Literal["strong", "weak"], typer.Option(help="weak: run programs also where the kernel offers less (`pipeline doctor`).")
]
_Sandbox = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--sandbox", metavar="URL", help="A SandboxFusion service; the local sandbox if not said."),
]
_Ray = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Convert on a Ray cluster: host:port, `auto`, or `local` to start one. The sources lie at the same paths on all "
        "its machines; the rows are the same.",
        show_default=False,
    ),
]

_PREPARE_HELP = """Make the rows of a recipe's stages, as `pipeline run` would; that finds them done afterwards.

\b
Examples:
  pipeline data prepare smoke.yaml
  pipeline data prepare execverify.yaml --stage stage-one"""

_CONVERT_HELP = """Convert a source into one parquet file of rows, or each file of a folder into one of its own.

A source is a .jsonl, .json (both also .gz) or .parquet file, a folder of such files, or a name on the HuggingFace hub:
owner/name, owner/name:subset@split. What gives no rows is written beside OUT with its line and its reason: rows.parquet ->
rows.rejects.jsonl.

\b
Examples:
  pipeline data convert execverify_rl rl_dataset.json -o rows.parquet
  pipeline data convert leetcode LeetCodeDataset.jsonl.gz -o leetcode.parquet --shape rl --option max_tests=5
  pipeline data convert eurus PRIME-RL/Eurus-2-RL-Data@train -o eurus.parquet
  pipeline data convert bootcamp bootcamps/ -o rows/ --per-file
  pipeline data convert mine notes.jsonl -o rows.parquet --file my_converter.py"""

_TRACE_HELP = """Run the calls of Python functions under a tracer, and ask what they return and how they run: ExecVerify's rows.

A FILE is a Python file of functions with calls, as examples (>>>) in docstrings or at the file's top level, or a folder of such
files. What comes of it is read by the converter execverify_rl. A call that gives no row is written beside OUT with its line
and its reason.

\b
Examples:
  pipeline data trace programs.py -o questions.jsonl
  pipeline data trace src/ -o questions.jsonl --option task=both --option questions=4"""

_SHOW_HELP = """Print a few rows of a file as a person wants to read them: rows that were made, or the records of a source.

\b
Examples:
  pipeline data show rows.parquet
  pipeline data show rows.parquet --id leetcode/two-sum --full
  pipeline data show rl_dataset.jsonl --row 118"""


def app() -> typer.Typer:
    """The sub-application `data`, to be mounted into the command line."""
    data = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Data: from a file to the rows that a stage trains on.",
    )
    data.command("converters")(converters_command)
    data.command("convert", help=_CONVERT_HELP)(convert_command)
    data.command("trace", help=_TRACE_HELP)(trace_command)
    data.command("show", help=_SHOW_HELP)(show_command)
    data.command("prepare", help=_PREPARE_HELP)(prepare_command)
    return data


def prepare_command(
    recipe: _Recipe,
    stage: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--stage", metavar="STAGE", help="This stage's rows alone.", show_default=False),
    ] = None,
    sets: _Sets = None,
    runs: _Runs = Path("runs"),
    ray: _Ray = None,
) -> None:
    from pipelines.cli.data.prepare import prepare_rows

    prepare_rows(recipe, sets or [], stage, runs, ray)


def convert_command(
    converter: Annotated[
        str, typer.Argument(metavar="CONVERTER", help="What the source is: see `pipeline data converters`.", show_default=False)
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
        typer.Option(help="Rows to learn from (sft) or to be rewarded for (rl); needed where the converter makes both."),
    ] = None,
    options: _Options = None,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--limit", metavar="N", min=1, help="Only the first N records.", show_default=False),
    ] = None,
    file: _File = None,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Mix the rows; as they come if not said.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Says how rows are mixed.")] = 17,
    per_file: Annotated[bool, typer.Option("--per-file", help="One parquet file for each of the source's files.")] = False,
    max_rejects: Annotated[
        float, typer.Option("--max-rejects", metavar="SHARE", min=0, max=1, help="Share of records that may be rejected.")
    ] = 0.01,
    tokenizer: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tokenizer", metavar="DIR", help="A model's folder or hub name: count the prompts' tokens, too."),
    ] = None,
    isolation: _Isolation = "strong",
    sandbox: _Sandbox = None,
    ray: _Ray = None,
) -> None:
    from pipelines.cli.data.convert import Asked, convert

    convert(
        Asked(
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
    isolation: _Isolation = "strong",
    sandbox: _Sandbox = None,
) -> None:
    from pipelines.cli.data.trace import trace

    trace(source, output, options or [], isolation, sandbox)


def show_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows, or a source that a converter reads.", show_default=False)],
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="So many rows, from the first.")] = 3,
    row: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--row", metavar="N", min=0, help="This row: its index from 0; in a source its line.", show_default=False),
    ] = None,
    id: Annotated[  # noqa: A002 (the option's name)
        Optional[str],  # noqa: UP045
        typer.Option("--id", metavar="ID", help="The row with this id.", show_default=False),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Everything; long texts lose their middle if not said.")] = False,
) -> None:
    from pipelines.cli.data.show import show

    show(file, count, row, id, full=full)


def converters_command(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="NAME", help="This one alone, with what its options mean.", show_default=False),
    ] = None,
    file: _File = None,
) -> None:
    """Show every converter: its name, the rows it makes, its options with their defaults, and what it reads."""
    from pipelines.cli.data.converters import print_converter, print_converters

    print_converters(file) if name is None else print_converter(name, file)
