"""`record.json`: the inputs and the outcome of a step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

import msgspec

from pipelines.digests import write_atomically
from preprocess import atomic

FILE = "record.json"

Outcome = Literal["started", "failed", "complete"]

_FIELDS_BEFORE = {"made": "execution_id"}
"""Name of a field in version 0.1 -> its name."""


@dataclass(frozen=True)
class Failure:
    """Why an attempt to train a stage ended early."""

    attempt: int
    kind: str
    """A kind of `pipelines.run.faults.diagnosis`."""
    reason: str
    """One line for the user."""
    step: int
    """The newest training step with metrics; 0: none."""
    checkpoint: int
    """The step of the newest complete checkpoint; 0: none."""
    resumed: bool = False
    """Whether the run resumed the training."""


@dataclass
class StepRecord:
    """A step's inputs and outcome."""

    command: str
    """Digest of the command line, its variables and its configuration files."""
    inputs: dict[str, str]
    """Digest of each file and folder read; of a preceding step, its `execution_id`."""
    outcome: Outcome
    reason: str = ""
    """Why it failed."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Digest of each file and folder written."""
    execution_id: str = ""
    """Identifies the last execution; the steps that follow this one take it as an input."""
    training_id: str = ""
    """Identifies the training of a stage from its first attempt on; a training from the beginning has another."""
    attempts: int = 1
    started: str = ""
    """When the last attempt began: UTC, ISO 8601."""
    seconds: float = 0.0
    """Wall time of all attempts."""
    versions: dict[str, str] = field(default_factory=dict)
    """Distribution -> version that executed it last: this project and the pinned trainer; empty: unknown."""
    origin: dict[str, str] = field(default_factory=dict)
    """Name -> value of what executed it last: commit of this project, lock, Python, GPUs, driver, host, revisions of hub names;
    empty: unknown."""
    failures: list[Failure] = field(default_factory=list)
    """Attempts that failed, of this training."""
    notes: list[str] = field(default_factory=list)
    """Lines that were printed about it, such as rows left out or metrics lost."""


def read_record(folder: Path) -> StepRecord | None:
    """Return the record in a step's folder; None if it has none, or a damaged one: the step runs again.

    Fields and outcomes that this version does not know are skipped: a later version may have written them.
    """
    found = atomic.read_json(folder / FILE) or {}
    values = {_FIELDS_BEFORE.get(name, name): value for name, value in found.items()}
    if isinstance(values.get("outcome"), str) and values["outcome"] not in get_args(Outcome):
        values["outcome"] = "started"
    try:
        return msgspec.convert(values, StepRecord)
    except msgspec.ValidationError:
        return None


def write_record(folder: Path, record: StepRecord) -> None:
    """Write the record atomically."""
    write_atomically(folder / FILE, json.dumps(asdict(record), indent=1) + "\n")
