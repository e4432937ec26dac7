"""`pipeline export`, `push`, `chat` and `clean`. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.common import Json
from pipelines.cli.help import RESULT

RunTarget = Annotated[str, typer.Argument(metavar="RUN", help="A run directory, RUN/STAGE or RUN/STAGE@STEP.")]
OfStep = Annotated[
    int | None,
    typer.Option(
        "--step", metavar="N", min=1, help="The checkpoint of this step. Default: the model that the stage handed over."
    ),
]


def add_model_commands(app: typer.Typer) -> None:
    """Add the commands about the models of a run."""
    for command in (export, push, chat, clean):
        app.command(rich_help_panel=RESULT)(command)


def export(
    run: RunTarget,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="A folder that is missing or empty.")],
    stage: Annotated[
        str | None, typer.Argument(metavar="STAGE", help="A stage. Default: the last.", show_default=False)
    ] = None,
    step: OfStep = None,
    as_json: Json = False,
) -> None:
    """Export any model or checkpoint of a run.

    The run may be unfinished. The output is a Hugging Face folder with a model card. Adapters are merged, and the checks of the
    hand-over must pass.

    \b
    Examples:
      pipeline export runs/smoke -o ./model                     # the last model
      pipeline export runs/smoke stage-one --step 1 -o ./one    # a checkpoint
    """
    from pipelines.cli.models.export import export as export_model

    export_model(run, stage, step, output, as_json=as_json)


def push(
    run: RunTarget,
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The model's name on the hub.")],
    stage: Annotated[str | None, typer.Option("--stage", metavar="STAGE", help="A stage. Default: the last.")] = None,
    step: OfStep = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files and their sizes; upload nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Upload a model of a run to the Hugging Face hub.

    It gets a model card that has all its evaluations. The login is that of huggingface_hub: HF_TOKEN, or the one that
    `hf auth login` has stored. HF_ENDPOINT chooses another hub.
    """
    from pipelines.cli.models.push import push as push_model

    push_model(run, repository, stage, step, private=private, dry_run=dry_run, as_json=as_json)


def chat(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A run, RUN/STAGE, RUN/STAGE@STEP, a model folder or a hub name.")
    ],
    temperature: Annotated[float, typer.Option(metavar="T", min=0, help="0 is greedy.")] = 0.0,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", metavar="N", min=1, help="Longest answer. Default: the stage's longest response."),
    ] = None,
    no_tool: Annotated[bool, typer.Option("--no-tool", help="Chat without the recipe's tool.")] = False,
) -> None:
    """Talk with a model of a run, or with any other.

    With the chat template and the tool of its stage; vLLM of verl's environment generates. Ctrl-C stops an answer, Ctrl-D ends
    the chat, /help lists the commands. Piped text is one question.

    \b
    Examples:
      pipeline chat runs/smoke
      echo "What does sorted([3, 1]) return?" | pipeline chat runs/smoke/sft
    """
    from pipelines.cli.models.chat import chat as talk

    talk(target, temperature, max_tokens, tool=not no_tool)


def clean(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Remove checkpoints that neither a resume nor a hand-over needs.")
    ] = False,
    replaced: Annotated[bool, typer.Option("--replaced", help="Remove earlier results that were replaced.")] = False,
    caches: Annotated[bool, typer.Option("--caches", help="Remove caches, and what killed processes have left.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be removed; remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Give back disk space of a run.

    Prints sizes first, asks, then removes. Finished stages stay finished. Without an option, prints what each would free.
    """
    from pipelines.cli.models.clean import clean as clean_run

    clean_run(
        run, {"checkpoints": checkpoints, "replaced": replaced, "caches": caches}, yes=yes, dry_run=dry_run, as_json=as_json
    )
