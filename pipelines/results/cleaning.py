"""What a run can give back of the disk: checkpoints that nothing needs, replaced results, caches."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from pipelines.evaluation.target import FOLDER as EVALUATIONS
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.records.holder import read_holder
from pipelines.records.runs import Stage, open_run
from pipelines.reports.card.evaluations import EXPORTED
from pipelines.run.plan import Plan, trainer_module
from preprocess import atomic

Kind = Literal["checkpoints", "replaced", "caches"]
KINDS: tuple[Kind, ...] = ("checkpoints", "replaced", "caches")

VERSION = 1
"""Version of the layout of `--json`."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that can be removed."""

    kind: Kind
    path: str
    """Relative to the run directory."""
    bytes: int
    """Disk space that its removal frees: files that are also part of a model free none."""
    result: str
    """What it is, and what is no longer possible or has to be done again."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Something of the chosen kinds that is not removed."""

    path: str
    why: str


class Cleaning(msgspec.Struct, frozen=True, kw_only=True):
    """What `pipeline clean --json` prints."""

    version: int = VERSION
    run: str
    items: list[Item]
    kept: list[Kept]
    bytes: int
    removed: bool = False
    """Whether the items were removed."""


def find_removable(plan: Plan, kinds: Collection[Kind]) -> Cleaning:
    """Return what can be removed from a run without training anything again, and what is kept.

    Args:
        plan: The plan of the run.
        kinds: What to look for.
    """
    directory, run = plan.directory, open_run(plan.directory)
    found: dict[Path, tuple[Kind, str]] = {}
    kept: dict[Path, str] = {}
    if "checkpoints" in kinds:
        for stage in plan.recipe.stages:
            _find_checkpoints(stage, run.stage(stage.name), found, kept)
    if "replaced" in kinds:
        for path in (*directory.glob("replaced/*"), *directory.glob(f"{EVALUATIONS}/*/replaced/*")):
            found[path] = "replaced", "earlier results, which were replaced"
    if "caches" in kinds:
        found |= {path: ("caches", result) for path, result in _find_caches(directory)}
    for path in [each for each in found if _is_held(directory, each)]:
        del found[path]
        kept[path] = "an evaluation uses it"
    sizes = measure(found)
    items = [
        Item(kind=kind, path=str(path.relative_to(directory)), bytes=sizes[path], result=result)
        for path, (kind, result) in found.items()
    ]
    items.sort(key=lambda each: KINDS.index(each.kind))
    return Cleaning(
        run=str(directory),
        items=items,
        kept=[Kept(path=str(path.relative_to(directory)), why=why) for path, why in kept.items()],
        bytes=sum(sizes.values()),
    )


def _find_checkpoints(
    stage: SftStage | RlStage, record: Stage, found: dict[Path, tuple[Kind, str]], kept: dict[Path, str]
) -> None:
    """Add the checkpoints of a stage to those that can be removed, or to those that are kept."""
    paths = record.paths
    complete = {path: step for step, path in trainer_module(stage).checkpoints(paths).items()}
    needed = _needed(stage, record, complete)
    for path in sorted(each for pattern in ("checkpoint-*", "global_step_*") for each in paths.checkpoints.glob(pattern)):
        if path in needed:
            kept[path] = needed[path]
        elif path in complete:
            found[path] = "checkpoints", "the step can no longer be exported or evaluated"
        else:
            found[path] = "checkpoints", "not complete"


def _needed(stage: SftStage | RlStage, record: Stage, complete: Mapping[Path, int]) -> dict[Path, str]:
    """Return the checkpoints that resuming the stage or its hand-over needs, and why."""
    paths = record.paths
    if not complete or (record.state == "complete" and paths.model.is_dir()):
        return {}
    needed = {max(complete, key=lambda path: complete[path]): f"stage {stage.name} resumes from it"}
    if stage.keep_best:
        needed = dict.fromkeys(complete, f"stage {stage.name} is not finished, and it may be the best") | needed
    if paths.checkpoint.exists():
        needed[paths.checkpoints / paths.checkpoint.resolve().name] = f"the hand-over of stage {stage.name} needs it"
    return needed


def _find_caches(directory: Path) -> Iterator[tuple[Path, str]]:
    for path in directory.glob("stages/*/*/cache"):
        yield path, "made again if a step needs it"
    for source in directory.glob(f"{EVALUATIONS}/*/{EXPORTED}"):
        for name in ("model", "export"):
            if (path := source.with_name(name)).is_dir():
                yield path, f"evaluating {source.parent.name} again converts its checkpoint again"
    for folder in (directory, *directory.glob("stages/*"), *directory.glob("stages/*/checkpoints"), directory / EVALUATIONS):
        for path in folder.glob(".*.tmp"):
            process = path.name.split(".")[-2]
            if process.isdigit() and not Path("/proc", process).exists():
                yield path, "left by a killed process"


def _is_held(directory: Path, path: Path) -> bool:
    """Return whether a path is in the folder of an evaluation that runs."""
    parts = path.relative_to(directory).parts
    return parts[0] == EVALUATIONS and len(parts) > 1 and read_holder(directory / EVALUATIONS / parts[1]) is not None


def measure(paths: Iterable[Path]) -> dict[Path, int]:
    """Return the disk space that the removal of all these paths frees, each file counted for the first path that has it.

    A file that also has a name elsewhere, as that of a model that was handed over by a link, frees none.
    """
    sizes = dict.fromkeys(paths, 0)
    names: dict[tuple[int, int], int] = {}
    for path in sizes:
        for status in _walk(path):
            key = status.st_dev, status.st_ino
            names[key] = names.get(key, 0) + 1
    counted: set[tuple[int, int]] = set()
    for path in sizes:
        for status in _walk(path):
            key = status.st_dev, status.st_ino
            if key not in counted and names[key] >= status.st_nlink:
                counted.add(key)
                sizes[path] += status.st_blocks * 512
    return sizes


def _walk(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of each file in a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        yield path.lstat()
        return
    for folder, _, files in os.walk(path):
        for name in files:
            yield Path(folder, name).lstat()


def remove(directory: Path, items: Iterable[Item]) -> None:
    """Remove items of a run that the caller holds.

    Each is renamed first: a kill in between leaves no incomplete checkpoint, and the next clean removes the rest.

    Raises:
        OSError: One cannot be removed; those before it are gone.
    """
    for item in items:
        path = directory / item.path
        hidden = path if path.name.endswith(".tmp") else atomic.temporary_path(path)
        path.rename(hidden)
        if hidden.is_dir() and not hidden.is_symlink():
            shutil.rmtree(hidden)
        else:
            hidden.unlink()
