"""The temporary files of a run outside its directory: a scratch folder and shared memory, under one name."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")


def scratch_folder(run_directory: Path) -> Path:
    """Return the folder for the run's temporary files, named by the directory so that those of a killed run are found again.

    The name is short because Python limits that of a shared-memory segment to 14 characters, random ones included
    (multiprocessing/shared_memory.py `_make_filename`), and a Unix socket's path to 107, of which Ray uses about 70.
    """
    return Path(tempfile.gettempdir(), "pl" + hashlib.sha256(str(run_directory).encode()).hexdigest()[:6])


def remove_scratch(folder: Path) -> None:
    """Remove the folder and the shared memory of its name. No process of the run may be alive."""
    shutil.rmtree(folder, ignore_errors=True)
    for pattern in (f"{folder.name}*", f"sem.{folder.name}*"):
        for segment in _SHARED_MEMORY.glob(pattern):
            with suppress(OSError):
                segment.unlink()
