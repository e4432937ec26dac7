"""What a tracker was sent of a stage, in the run directory: where the next process resumes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipelines.digests import write_atomically


class Sent(msgspec.Struct, kw_only=True):
    """What a tracker was sent."""

    stage: str
    step: float | None = None
    """The last step that was logged."""
    samples: str = ""
    """Identifies the table of samples."""
    figures: str = ""
    """Digest of the evaluation's figures."""
    model: str = ""
    """Identifies the execution of the step that made the model."""
    finished: bool = False
    """Whether the tracker run was ended after the complete stage, with all of the above."""


def read_sent(path: Path) -> Sent | None:
    """Read the file; None if it is missing or damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sent)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_sent(path: Path, sent: Sent) -> None:
    """Write the file atomically."""
    write_atomically(path, msgspec.json.encode(sent).decode() + "\n")
