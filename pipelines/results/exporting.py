"""Export a model of a run into a folder of the user."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.console.progress import Progress
from pipelines.errors import InputError, file_error
from pipelines.reports.card.keeping import write_card
from pipelines.results.files import Exported, list_files
from pipelines.run.export import Trained, export_model
from preprocess import atomic


def export_to(trained: Trained, output: Path, display: Progress) -> Exported:
    """Export a model, with its card, into a folder that appears when it is complete.

    Args:
        trained: The model.
        output: The folder; missing or empty.
        display: Where to report.

    Raises:
        InputError: The folder has files, or cannot be made.
        StepError: The model cannot be converted, failed a check, or cannot be written.
    """
    target = output.expanduser().resolve()
    _check_free(output, target)
    with working_folder(target) as work:
        model = export_model(trained, work, display)
        write_card(trained, model)
        if target.is_dir():
            target.rmdir()
        model.rename(target)
    return Exported(
        run=str(trained.plan.directory),
        stage=trained.stage.name,
        step=trained.step,
        folder=str(target),
        files=list_files(target),
    )


def _check_free(output: Path, target: Path) -> None:
    if target.is_dir():
        if any(target.iterdir()):
            raise InputError(f"{output} is not empty; choose a folder that does not exist")
    elif target.exists():
        raise InputError(f"{output} is a file; choose a folder that does not exist")


@contextmanager
def working_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder next to a path, on the same disk; it is deleted at the end.

    Raises:
        InputError: It cannot be made.
        StepError: A file in it could not be written.
    """
    work = atomic.temporary_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.sweep(target.parent, glob.escape(target.name))
        work.mkdir()
    except OSError as error:
        raise InputError(f"{target} cannot be made: {error.strerror}") from None
    try:
        yield work
    except OSError as error:
        raise file_error(f"{error.filename or target} cannot be written: {error.strerror}", error) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
