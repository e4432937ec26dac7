"""A run directory as it is on disk."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.records.holder import Holder, read_holder
from pipelines.records.manifest import FILE as MANIFEST
from pipelines.records.manifest import Manifest, find_manifest, read_manifest, read_recipe
from pipelines.records.stages import Stage, State, Step
from pipelines.records.steps import read_record
from pipelines.trainers.base import StagePaths
from rewards.suggestions import did_you_mean

__all__ = [
    "RUNS",
    "Run",
    "Stage",
    "State",
    "Step",
    "find_run",
    "find_runs",
    "is_run",
    "last_change",
    "locate",
    "newest_run",
    "open_run",
]

RUNS = Path("runs")
"""The default parent of run directories."""

_LISTED = 8
"""Most runs that an error names."""


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
        folders = [(entry, self.directory / entry.folder) for entry in self.manifest.steps]
        return tuple(Step(entry, folder, read_record(folder), self.holder) for entry, folder in folders)

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
            InputError: The run has no stage of that name.
        """
        names = [each.name for each in self.stages]
        if name not in names:
            raise InputError(
                f"{self.directory} has no stage {name!r}{did_you_mean(name, names)}; its stages are {', '.join(names)}"
            )
        return self.stages[names.index(name)]

    @property
    def current(self) -> Step | None:
        """The step that runs, or at which the run ended early; None: complete, not begun, or between two steps."""
        if self.holder is not None:
            return next((each for each in self.steps if each.state == "running"), None)
        begun = [each for each in self.steps if each.state not in ("waiting", "complete") and not each.entry.optional]
        return begun[-1] if begun else None

    @property
    def state(self) -> State:
        """How the run is; complete: it did all that its command asked for, which may be less than the recipe has."""
        if self.holder is not None:
            return "running"
        needed = [each for each in self.steps if not each.entry.optional]
        states = {each.state for each in needed}
        for state in ("failed", "interrupted"):
            if state in states:
                return state
        selected = self.manifest.selected or [each.name for each in needed]
        if all(each.state == "complete" for each in needed if each.name in selected):
            return "complete"
        # `pipeline data prepare` makes the rows only.
        begun = [each for each in needed if each.state != "waiting" and not each.name.endswith("/prepare")]
        return "interrupted" if begun else "waiting"

    @property
    def model(self) -> Path | None:
        """The model of the last stage that has one."""
        return next((model for each in reversed(self.stages) if (model := each.model) is not None), None)


def is_run(path: Path) -> bool:
    """Return whether a folder is a run directory; False for one that may not be read."""
    try:
        return (path / MANIFEST).is_file() or ((path / "recipe.yaml").is_file() and (path / "stages").is_dir())
    except OSError:
        return False


def open_run(path: Path) -> Run:
    """Read a run directory.

    Raises:
        InputError: The folder is no run, or of a later version; names the nearest run.
    """
    if not path.is_dir():
        raise InputError(f"{path} does not exist{_nearest(path)}")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"{path} cannot be read: permission denied")
    if not is_run(path):
        raise InputError(f"{path} is not a run: it has no run.json{_nearest(path)}")
    return Run(path, read_manifest(path) or find_manifest(path))


def find_run(text: str, parent: Path = RUNS) -> Run:
    """Read the run that the user means: a path, or the name of a run in `parent`.

    Args:
        text: As the user wrote it; a path comes first.
        parent: The parent of the run directories.

    Raises:
        InputError: It is missing, or of a later version; names the nearest run.
    """
    path, named = Path(text).expanduser(), parent / text
    if not is_run(path) and len(path.parts) == 1 and (is_run(named) or not path.exists()):
        return open_run(named)
    return open_run(path)


def locate(text: str, parent: Path = RUNS) -> Path:
    """Return the path that the user means, which may begin with the name of a run in `parent`: `smoke/sft`.

    Args:
        text: As the user wrote it; a path comes first.
        parent: The parent of the run directories.
    """
    path = Path(text).expanduser()
    begins_with_run = not path.is_absolute() and path.parts and is_run(parent / path.parts[0])
    return parent / path if begins_with_run and not path.exists() else path


def newest_run(parent: Path = RUNS) -> Run:
    """Read the run in `parent` that changed last.

    Raises:
        InputError: The folder has no runs.
    """
    runs = find_runs(parent)
    if not runs:
        raise InputError(f"{parent} has no runs; `pipeline run smoke.yaml` starts one")
    return open_run(runs[0])


def find_runs(parent: Path = RUNS) -> list[Path]:
    """Return the run directories in a folder, the one that changed last first."""
    found = [each for each in parent.glob("*") if is_run(each)]
    return sorted(found, key=last_change, reverse=True)


def last_change(directory: Path) -> float:
    """Return when a run last changed, in seconds since the epoch: when a record or progress was written."""
    patterns = ("recipe.yaml", "run.json", "*/record.json", "stages/*/*/record.json", "stages/*/*/reached.json")
    return max((each.stat().st_mtime for pattern in patterns for each in directory.glob(pattern)), default=0.0)


def _nearest(path: Path) -> str:
    """Return the end of an error: the run that may be meant, or those next to it or in it."""
    runs = [each.name for each in find_runs(path.parent)]
    if near := did_you_mean(path.name, runs):
        return near
    folder, runs = (path, inside) if (inside := [each.name for each in find_runs(path)]) else (path.parent, runs)
    if not runs:
        return f"; {folder} has no runs" if folder.is_dir() else ""
    more = f" and {len(runs) - _LISTED} more" if len(runs) > _LISTED else ""
    return f"; the runs in {folder} are {', '.join(runs[:_LISTED])}{more}"
