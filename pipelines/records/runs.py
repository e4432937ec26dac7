"""A run directory as it is on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pipelines.errors import InputError
from pipelines.records.holder import Holder, read_holder
from pipelines.records.manifest import FILE as MANIFEST
from pipelines.records.manifest import Manifest, StageEntry, StepEntry, find_manifest, read_manifest, read_recipe
from pipelines.records.metrics import Row, read_last, read_metrics
from pipelines.records.progress import Reached, read_reached
from pipelines.records.steps import StepRecord, read_record
from pipelines.trainers.base import StagePaths
from preprocess import atomic
from rewards.suggestions import did_you_mean

State = Literal["waiting", "running", "interrupted", "failed", "complete"]


@dataclass(frozen=True)
class Step:
    """A step of a run."""

    entry: StepEntry
    folder: Path
    record: StepRecord | None
    held: bool
    """Whether a process works in the run directory."""

    @property
    def name(self) -> str:
        """`<stage>/<step>`, or the name of a step of no stage."""
        return self.entry.name

    @property
    def state(self) -> State:
        """How it is."""
        if self.record is None:
            return "waiting"
        if self.record.outcome == "complete" or self.record.outcome == "failed":
            return self.record.outcome
        return "running" if self.held else "interrupted"

    @property
    def reached(self) -> Reached | None:
        """How far it is, or was when it ended."""
        return read_reached(self.folder) if self.record is not None else None

    @property
    def log(self) -> Path:
        """The output of its command."""
        return self.folder / "log"


@dataclass(frozen=True)
class Stage:
    """A stage of a run."""

    entry: StageEntry
    paths: StagePaths
    steps: tuple[Step, ...]
    """Its steps, evaluation included."""

    @property
    def name(self) -> str:
        """Its name in the recipe."""
        return self.entry.name

    @property
    def training(self) -> Step | None:
        """The step that trains it."""
        return next((each for each in self.steps if each.name == f"{self.name}/train"), None)

    @property
    def state(self) -> State:
        """How it is; that of its last step that is not optional and has begun."""
        needed = [each.state for each in self.steps if not each.entry.optional]
        begun = [each for each in needed if each != "waiting"]
        if begun and begun[-1] == "complete" and len(begun) < len(needed):
            # Rows are prepared long before the training.
            return "waiting" if self.training is None or self.training.state == "waiting" else "interrupted"
        return begun[-1] if begun else "waiting"

    @property
    def data(self) -> dict[str, Any] | None:
        """`summary.json` of its rows: records, rows, rejects by reason; None: not prepared yet."""
        return atomic.read_json(self.paths.data / "summary.json")

    def metrics(self, after: float = float("-inf")) -> Iterator[Row]:
        """Yield its training steps, in order, after a step."""
        return read_metrics(self.paths.metrics, after)

    def last_metrics(self) -> Row | None:
        """Return its newest training step."""
        return read_last(self.paths.metrics)


class Run:
    """A run directory as it was when it was opened.

    Args:
        directory: The folder.
        manifest: What the run consists of.
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest
        self.holder: Holder | None = read_holder(directory)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.manifest.name

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe as plain values; empty if it is missing or damaged."""
        return read_recipe(self.directory)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in order."""
        held = self.holder is not None
        folders = [(entry, self.directory / entry.folder) for entry in self.manifest.steps]
        return tuple(Step(entry, folder, read_record(folder), held) for entry, folder in folders)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, in order."""
        return tuple(
            Stage(
                entry,
                StagePaths(self.directory / "stages" / entry.name),
                tuple(step for step in self.steps if step.entry.stage == entry.name),
            )
            for entry in self.manifest.stages
        )

    def stage(self, name: str) -> Stage:
        """Return the stage of that name.

        Raises:
            InputError: There is none.
        """
        names = [each.name for each in self.stages]
        if name not in names:
            raise InputError(
                f"{self.directory} has no stage {name!r}{did_you_mean(name, names)}; its stages are {', '.join(names)}"
            )
        return self.stages[names.index(name)]

    @property
    def current(self) -> Step | None:
        """The step that runs, or at which the run ended early; None: the run is complete, or has not begun."""
        begun = [each for each in self.steps if each.state not in ("waiting", "complete") and not each.entry.optional]
        return next((each for each in self.steps if each.state == "running"), begun[-1] if begun else None)

    @property
    def state(self) -> State:
        """How the run is."""
        if self.holder is not None:
            return "running"
        needed = [each.state for each in self.steps if not each.entry.optional]
        for state in ("failed", "interrupted"):
            if state in needed:
                return state
        if all(each == "waiting" for each in needed):
            return "waiting"
        return "complete" if all(each == "complete" for each in needed) else "interrupted"


def is_run(path: Path) -> bool:
    """Return whether a folder is a run directory."""
    return (path / MANIFEST).is_file() or ((path / "recipe.yaml").is_file() and (path / "stages").is_dir())


def open_run(path: Path) -> Run:
    """Read a run directory.

    Raises:
        InputError: The folder is no run, or of a later version; names the nearest run.
    """
    if not path.is_dir():
        raise InputError(f"{path} does not exist{_nearest(path)}")
    if not is_run(path):
        raise InputError(f"{path} is not a run: it has no run.json{_nearest(path)}")
    return Run(path, read_manifest(path) or find_manifest(path))


def find_runs(parent: Path) -> list[Path]:
    """Return the run directories in a folder, the one that changed last first."""
    found = [each for each in parent.glob("*") if is_run(each)]
    return sorted(found, key=last_change, reverse=True)


def last_change(directory: Path) -> float:
    """Return when a run last changed, in seconds since the epoch: when a record or progress was written."""
    patterns = ("recipe.yaml", "run.json", "*/record.json", "stages/*/*/record.json", "stages/*/*/reached.json")
    return max((each.stat().st_mtime for pattern in patterns for each in directory.glob(pattern)), default=0.0)


def _nearest(path: Path) -> str:
    runs = [each.name for each in find_runs(path.parent)]
    if not runs:
        return f"; {path.parent} has no runs" if path.parent.is_dir() else ""
    return did_you_mean(path.name, runs) or f"; the runs in {path.parent} are {', '.join(runs)}"
