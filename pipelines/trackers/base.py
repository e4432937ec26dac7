"""The contract with a tracker: one tracker run per training of a stage, resumed by its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.records.metrics import Row

Value = str | int | float | bool

NOTHING = float("-inf")
"""The last step of a tracker run that has none."""


@dataclass(frozen=True)
class TrackedRun:
    """The training of a stage, as a tracker shows it."""

    id: str
    """Identifies it: 16 hexadecimal digits."""
    name: str
    """`<recipe>/<stage>`."""
    group: str
    """What all stages of a run share: the recipe's name and the run's id."""
    folder: Path
    """The folder of the tracker's files."""
    configuration: Mapping[str, Value]


@dataclass(frozen=True)
class Samples:
    """A table of responses."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float | None]]


class Tracker(Protocol):
    """One tracker, with one run at a time. Any exception means that it is not available; the caller starts it again later."""

    address: str
    """Where the tracker run is shown, or the command that shows it; set by `start`, empty if it is unknown."""

    def start(self, run: TrackedRun) -> float | None:
        """Start a tracker run, or resume the one of that id.

        Returns:
            The last step that the tracker has; None if it cannot be asked.
        """

    def log(self, rows: Sequence[Row]) -> None:
        """Log metrics, a row per step, in order."""

    def log_samples(self, samples: Samples) -> None:
        """Show a table of samples instead of the last one."""

    def log_figures(self, figures: Mapping[str, float]) -> None:
        """Show figures of the whole stage, such as its evaluation."""

    def log_model(self, folder: Path) -> None:
        """Add the final model: its path, or its files if they are to be uploaded."""

    def finish(self, *, complete: bool) -> None:
        """End the tracker run; return when everything was sent.

        Args:
            complete: Whether the stage is complete; otherwise it failed or was stopped, and may be resumed.
        """
