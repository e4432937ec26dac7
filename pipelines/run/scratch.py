"""What a run leaves outside its run directory while it runs: a scratch folder and shared memory, found by one name."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")


def scratch_name(run_directory: Path) -> str:
    """Eight letters and digits, the same each time, so that what a killed run left behind is found again.

    So short because Python gives the name of a shared-memory segment fourteen characters in all, random ones included
    (multiprocessing/shared_memory.py `_make_filename`), and a Unix socket's path may have 107, of which Ray takes some 70.
    """
    return "pl" + hashlib.sha256(str(run_directory).encode()).hexdigest()[:6]


def scratch_folder(run_directory: Path) -> Path:
    """The folder for the run's temporary files."""
    return Path(tempfile.gettempdir()) / scratch_name(run_directory)


def remove_scratch(folder: Path) -> None:
    """Removes the folder and the shared memory of its name; nothing of the run may be alive any more."""
    shutil.rmtree(folder, ignore_errors=True)
    for pattern in (f"{folder.name}*", f"sem.{folder.name}*"):
        for segment in _SHARED_MEMORY.glob(pattern):
            with suppress(OSError):
                segment.unlink()
