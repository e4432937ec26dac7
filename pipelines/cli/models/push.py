"""`pipeline push`."""

from __future__ import annotations

import sys

import msgspec

from pipelines.cli.common import ensure_environment
from pipelines.console.progress import Progress
from pipelines.console.tables import say
from pipelines.evaluation.finding import find_trained
from pipelines.results.files import print_files
from pipelines.results.pushing import push as push_model
from pipelines.run.machine import find_environments
from pipelines.run.process import signals_as_stopped


def push(
    run: str, repository: str, stage: str | None, step: int | None, *, private: bool, dry_run: bool, as_json: bool
) -> None:
    """Push a model of a run and print what was uploaded."""
    trained = find_trained(run, stage, step)
    if not dry_run or trained.checkpoint is not None:
        ensure_environment(find_environments(trained.plan.recipe)[trained.stage.trainer])
    display = Progress(sys.stderr, heartbeat=15.0)
    try:
        with signals_as_stopped():
            pushed = push_model(trained, repository, display, private=private, dry_run=dry_run)
    finally:
        display.close()
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(pushed), indent=1).decode())
        return
    print_files(pushed.files)
    if pushed.url is None:
        say(f"dry run: nothing was uploaded to {repository}")
    else:
        say(f"pushed: {pushed.url}")
