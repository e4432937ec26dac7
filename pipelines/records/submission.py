"""`launch/job.json`: the job of a cluster that runs, or will run, a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from pipelines.digests import write_atomically

FOLDER = "launch"
"""The folder of a run directory with the frozen recipe, the script, the job's record and its log."""

FILE = f"{FOLDER}/job.json"

RECIPE = f"{FOLDER}/recipe.yaml"
"""The recipe as it was submitted: later edits do not change a job that waits."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was submitted."""

    to: Literal["slurm", "ray"]
    id: str
    """The job's id: `12`, `12_3` for a task of an array, `raysubmit_…`."""
    submitted: float
    """Seconds since the epoch."""
    host: str
    """The machine that submitted it."""
    address: str = ""
    """The address of the Ray cluster's dashboard."""
    log: str = ""
    """The job's own log, relative to the run directory; empty: the cluster keeps it."""
    python: str = ""
    """The Python with Ray that submitted it."""
    command: list[str] = []
    """The `pipeline submit` that submitted it; empty: unknown."""
    folder: str = ""
    """The folder in which it was typed."""

    def __str__(self) -> str:
        return f"{'Slurm' if self.to == 'slurm' else 'Ray'} job {self.id}"


def write_submission(directory: Path, submission: Submission) -> None:
    """Record a job in its run directory."""
    write_atomically(directory / FILE, msgspec.json.format(msgspec.json.encode(submission), indent=1).decode() + "\n")


def read_submission(directory: Path) -> Submission | None:
    """Return the newest job of a run directory; None if it was never submitted, or the file is damaged."""
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=Submission)
    except (OSError, msgspec.DecodeError):
        return None
