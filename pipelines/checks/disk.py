"""Disk for the checkpoints to come, from what each trainer saves."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from pipelines.checks.findings import Finding
from pipelines.environments.listing import format_bytes, size_on_disk
from pipelines.models.parameters import count_parameters, count_tiny_parameters
from pipelines.recipe.consistency import find_base_model
from pipelines.recipe.schema import RlStage, SftStage, TinyModel
from pipelines.run.plan import Plan, trainer_module


def check_disk(plan: Plan) -> Finding:
    """What the run's stages will take, against what is free where the run directory will lie.

    While a checkpoint is written, those that are kept are still there; what an earlier stage made stays. The model that is
    handed on takes nothing: its files are the exported ones, under a second name.
    """
    place = plan.directory
    while not place.is_dir():
        place = place.parent
    free = shutil.disk_usage(place).free
    total, parts = 0, []
    for index, stage in enumerate(plan.recipe.stages):
        parameters = _count_parameters(find_base_model(plan.recipe, index))
        if parameters is None:
            said = f"{format_bytes(free)} free in {place}; how large the model of {stage.name} is, is not known from its name"
            return Finding("machine", "disk", said, "unchecked")
        saved = trainer_module(stage).disk_usage(stage, plan.context(stage), parameters)
        count = count_checkpoints(stage)
        total += count * saved.checkpoint + saved.export
        exported = f" + {format_bytes(saved.export)}" if saved.export else ""
        parts.append(f"{stage.name} {count} x {format_bytes(saved.checkpoint)}{exported}")
    there = sum(_size(folder) for stage in plan.recipe.stages for folder in _folders(plan, stage))
    missing = total - there
    held = f", of which {format_bytes(there)} are there" if there else ""
    needed = f"{' + '.join(parts)}: {format_bytes(total)}{held}; {format_bytes(free)} free in {place}"
    return Finding("machine", "disk", f"about {needed}", "wrong" if missing > free else "ok")


def count_checkpoints(stage: SftStage | RlStage) -> int:
    """Most checkpoints of a stage that lie there at once: those that are kept, the best, and the one being written.

    Where all are kept and `epochs` says how long it trains, how many there will be is not known; then two count.
    """
    every = stage.save_every or (500 if isinstance(stage, SftStage) else stage.steps)
    written = math.ceil(stage.steps / every) if stage.steps and every else None
    kept = stage.keep_checkpoints + 1 + stage.keep_best if stage.keep_checkpoints else written or 2
    return min(kept, written) if written else kept


def _count_parameters(model: str | TinyModel) -> int | None:
    if isinstance(model, TinyModel):
        return count_tiny_parameters(model.vocabulary, model.hidden_size, model.layers, model.heads)
    return count_parameters(model)


def _folders(plan: Plan, stage: SftStage | RlStage) -> tuple[Path, Path]:
    paths = plan.paths(stage.name)
    return paths.checkpoints, paths.export


def _size(folder: Path) -> int:
    return size_on_disk(folder) if folder.is_dir() else 0
