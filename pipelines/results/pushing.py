"""Push a model of a run to the Hugging Face hub, by huggingface_hub of a trainer's environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines.console.progress import Progress
from pipelines.errors import InputError, StepError
from pipelines.models.folder import hub_endpoint, is_hub_offline
from pipelines.reports.card.keeping import write_card
from pipelines.results.exporting import working_folder
from pipelines.results.files import Pushed, list_files
from pipelines.run.export import Trained, export_model
from pipelines.run.handover import model_files

_NAME = re.compile(r"(?=.{3,96}$)[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def push(trained: Trained, repository: str, display: Progress, *, private: bool, dry_run: bool) -> Pushed:
    """Upload a model with its card as one commit.

    Args:
        trained: The model.
        repository: Its name on the hub; it is made if it does not exist.
        display: Where to report.
        private: Make the repository private; one that exists must be private.
        dry_run: Upload nothing.

    Raises:
        InputError: The name is wrong, there is no login, or the hub refuses it.
        StepError: The export or the upload failed.
    """
    if _NAME.fullmatch(repository) is None or ".." in repository or "--" in repository:
        raise InputError(f"{repository!r} is not a name on the hub; expected owner/name, such as me/{trained.plan.recipe.name}")
    if not dry_run and is_hub_offline():
        raise InputError("HF_HUB_OFFLINE is set: nothing can be pushed; unset it, or add --dry-run")
    with working_folder(trained.plan.directory / "push") as work:
        folder = work / "upload"
        folder.mkdir()
        for file in _list_model(trained, work, display):
            (folder / file.name).symlink_to(file)
        write_card(trained, folder, repository)
        files = list_files(folder)
        url = None if dry_run else _upload(trained, folder, repository, display, private=private)
    return Pushed(
        run=str(trained.plan.directory),
        stage=trained.stage.name,
        step=trained.step,
        repository=repository,
        private=private,
        dry_run=dry_run,
        url=url,
        files=files,
    )


def _list_model(trained: Trained, work: Path, display: Progress) -> list[Path]:
    """Return the files of the model, whose checkpoint is exported first."""
    if trained.checkpoint is None:
        return model_files(trained.source)
    return model_files(export_model(trained, work, display, copy=False))


def _upload(trained: Trained, folder: Path, repository: str, display: Progress, *, private: bool) -> str:
    python = trained.plan.machine.pythons[trained.stage.trainer]
    settings = {
        "folder": str(folder),
        "repository": repository,
        "private": private,
        "message": f"Upload {trained.plan.recipe.name}, {trained.label}",
    }
    quiet = {} if sys.stderr.isatty() else {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    script = Path(__file__).with_name("hub_upload.py")
    display.say(f"upload to {hub_endpoint()}/{repository}")
    display.close()  # the bars are huggingface_hub's
    try:
        # -P: do not import from the script's folder.
        done = subprocess.run(
            [str(python), "-P", str(script)],
            input=json.dumps(settings),
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=False,
            env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", **quiet},
        )
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except OSError as error:
        raise StepError(f"cannot run {python}: {error.strerror}") from None
    except (IndexError, ValueError):
        raise StepError(f"the upload failed: {python} ended with {done.returncode}") from None
    if "error" in result:
        kind = InputError if result["mistake"] else StepError
        raise kind(f"{repository}: {result['error']}")
    return str(result["url"])
