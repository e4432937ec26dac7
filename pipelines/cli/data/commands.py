"""The commands of `pipeline data`. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cli import completion
from pipelines.cli.common import Adopt, Isolation, Recipe, Runs, Sandbox, Sets, read_options
from pipelines.cli.help import App

app = App(help="Convert, trace, show and prepare training rows.")

_File = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="A Python file with a custom converter.")]
_Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the converter: --option max_chars=2000."),
]
_Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Convert on a Ray cluster: host:port, `auto`, or `local` to start one. The sources must have the same paths on "
        "all machines; the rows are the same.",
    ),
]


@app.command("converters")
def converters_command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Show one converter with its options.",
            show_default=False,
            autocompletion=completion.converters,
        ),
    ] = None,
    file: _File = None,
) -> None:
    """List the converters, or show one with its options."""
    from pipelines.cli.data.converters import print_converter, print_converters

    print_converters(file) if name is None else print_converter(name, file)


@app.command("convert")
def convert_command(
    converter: Annotated[
        str,
        typer.Argument(
            metavar="CONVERTER", help="A converter: see `pipeline data converters`.", autocompletion=completion.converters
        ),
    ],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A file, a folder of files, or a name on the hub.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="A .parquet file; with --per-file a folder.")],
    shape: Annotated[
        Literal["sft", "rl"] | None, typer.Option(help="The shape of the rows; required if the converter makes both.")
    ] = None,
    options: _Options = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the first N records.")] = None,
    file: _File = None,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Shuffle the rows.")] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of --shuffle.")] = 17,
    per_file: Annotated[bool, typer.Option("--per-file", help="Write one parquet file per file of the source.")] = False,
    max_rejects: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="Maximum share of rejected records.")
    ] = 0.01,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="DIR", help="A model folder or hub name: count the tokens of the prompts.")
    ] = None,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
    ray: _Ray = None,
) -> None:
    """Convert a source into a parquet file of rows.

    With --per-file, each file of a folder is converted into a file. A source is a .jsonl, .json (both also .gz) or .parquet
    file, a folder of such files, or a name on the HuggingFace hub: owner/name, owner/name:subset@split. Records that give
    no row are written next to OUT with line and reason: rows.parquet -> rows.rejects.jsonl.

    \b
    Examples:
      pipeline data convert execverify_rl rl_dataset.json -o rows.parquet
      pipeline data convert leetcode all.jsonl -o rows.parquet --shape rl
      pipeline data convert eurus PRIME-RL/Eurus-2-RL-Data@train -o rows.parquet
      pipeline data convert bootcamp bootcamps/ -o rows/ --per-file
      pipeline data convert mine notes.jsonl -o rows.parquet --file mine.py
    """
    from pipelines.cli.data.convert import convert, find_shape
    from preprocess.engine.job import Source
    from preprocess.jobs.single import Conversion

    rows = Source(converter, source, limit, read_options(options), file)
    conversion = Conversion(rows, find_shape(rows, shape), output, per_file, shuffle, seed, max_rejects)
    convert(conversion, tokenizer, isolation, sandbox, ray)


@app.command("trace")
def trace_command(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A Python file, or a folder of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="A .jsonl file.")],
    options: _Options = None,
    isolation: Isolation = "strong",
    sandbox: Sandbox = None,
) -> None:
    """Trace Python functions and make questions about their runs.

    The questions have the format of ExecVerify. FILE is a Python file of functions with calls, as examples (>>>) in
    docstrings or at the file's top level, or a folder of such files. The converter execverify_rl reads the output. Calls
    that give no row are written next to OUT with line and reason.

    \b
    Examples:
      pipeline data trace programs.py -o questions.jsonl
      pipeline data trace src/ -o questions.jsonl --option questions=4
    """
    from pipelines.cli.data.trace import trace

    trace(source, output, read_options(options), isolation, sandbox)


@app.command("show")
def show_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows, or a source that a converter reads.")],
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Number of rows, from the first.")] = 3,
    row: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="One row: its index from 0; in a source its line.")
    ] = None,
    id: Annotated[str | None, typer.Option(metavar="ID", help="The row with this id.")] = None,  # noqa: A002 (the option's name)
    full: Annotated[bool, typer.Option("--full", help="Do not shorten long texts.")] = False,
) -> None:
    """Print some rows of a file in readable form.

    \b
    Examples:
      pipeline data show rows.parquet
      pipeline data show rows.parquet --id leetcode/two-sum --full
      pipeline data show rl_dataset.jsonl --row 118
    """
    from pipelines.cli.data.show import show

    show(file, count, row, id, full=full)


@app.command("prepare")
def prepare_command(
    recipe: Recipe,
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Only the rows of this stage.", autocompletion=completion.stages)
    ] = None,
    sets: Sets = None,
    adopt: Adopt = False,
    runs: Runs = Path("runs"),
    ray: _Ray = None,
) -> None:
    """Make the rows of a recipe's stages.

    As `pipeline run` would, which then skips these steps.

    \b
    Examples:
      pipeline data prepare smoke.yaml
      pipeline data prepare execverify.yaml --stage stage-one
    """
    from pipelines.cli.data.prepare import prepare_rows

    prepare_rows(recipe, sets or [], stage, runs, ray, adopt=adopt)
