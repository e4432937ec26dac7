"""Estimate the disk space for checkpoints from what each trainer saves."""

from __future__ import annotations

import math
import shutil

from pipelines.checks.findings import Finding
from pipelines.environments.listing import format_bytes, size_on_disk
from pipelines.models.parameters import count_parameters, count_tiny_parameters
from pipelines.recipe.schema import RlStage, SftStage, TinyModel
from pipelines.run.plan import Plan, trainer_module


def check_disk(plan: Plan) -> Finding:
    """Compare what the stages will write with the free space at the run directory.

    While a checkpoint is written, the kept ones still exist; files of earlier stages remain. The model that is handed over
    takes no space: its files are hard links to the exported ones.
    """
    place = next(each for each in (plan.directory, *plan.directory.parents) if each.is_dir())
    free = shutil.disk_usage(place).free
    total = written = 0
    parts = []
    for stage in plan.recipe.stages:
        model = plan.recipe.base_model(stage)
        if isinstance(model, TinyModel):
            parameters: int | None = count_tiny_parameters(model.vocabulary, model.hidden_size, model.layers, model.heads)
        else:
            parameters = count_parameters(model)
        if parameters is None:
            result = f"{format_bytes(free)} free in {place}; the size of {stage.name}'s model is not in its name"
            return Finding("machine", "disk", result, "unchecked")
        usage = trainer_module(stage).disk_usage(stage, plan.context(stage), parameters)
        count = count_checkpoints(stage)
        total += count * usage.checkpoint + usage.export
        exported = f" + {format_bytes(usage.export)}" if usage.export else ""
        parts.append(f"{stage.name} {count} x {format_bytes(usage.checkpoint)}{exported}")
        paths = plan.paths(stage.name)
        written += size_on_disk(paths.checkpoints) + size_on_disk(paths.export)
    already = f", of which {format_bytes(written)} are written" if written else ""
    result = f"about {' + '.join(parts)}: {format_bytes(total)}{already}; {format_bytes(free)} free in {place}"
    return Finding("machine", "disk", result, "wrong" if total - written > free else "ok")


def count_checkpoints(stage: SftStage | RlStage) -> int:
    """Return the largest number of a stage's checkpoints at one time: the kept ones, the best, and the one being written.

    Where all are kept and the length is given in `epochs`, their number is unknown; then 2.
    """
    every = stage.save_every or (500 if isinstance(stage, SftStage) else stage.steps)
    written = math.ceil(stage.steps / every) if stage.steps and every else None
    kept = stage.keep_checkpoints + 1 + stage.keep_best if stage.keep_checkpoints else written or 2
    return min(kept, written) if written else kept
