"""The temporary files of a run outside its directory: a scratch folder and shared memory, under one name."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from pipelines.trainers.verl.attempt_files import run_prefix

_SHARED_MEMORY = Path("/dev/shm")


def scratch_folder(run_directory: Path) -> Path:
    """Return the folder for the run's temporary files, named by the directory so that those of a killed run are found again."""
    return Path(tempfile.gettempdir(), run_prefix(run_directory))


def remove_scratch(folder: Path) -> None:
    """Remove the folder and the shared memory of its name. No process of the run may be alive."""
    shutil.rmtree(folder, ignore_errors=True)
    for pattern in (f"{folder.name}*", f"sem.{folder.name}*"):
        for segment in _SHARED_MEMORY.glob(pattern):
            with suppress(OSError):
                segment.unlink()
