"""Check this machine: the disk space for checkpoints, the GPUs, and the trainers' environments."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence

from pipelines.checks.findings import Finding
from pipelines.console.sizes import format_bytes, size_on_disk
from pipelines.environments import Environment
from pipelines.environments.gpus import describe_hidden, list_gpus
from pipelines.environments.listing import installed_versions
from pipelines.models.parameters import count_parameters, count_tiny_parameters
from pipelines.recipe.schema import Hardware, RlStage, SftStage, TinyModel
from pipelines.run.plan import Plan, trainer_module
from pipelines.trainers.base import Platform


def check_disk(plan: Plan, stages: Sequence[SftStage | RlStage] | None = None) -> Finding:
    """Compare what the stages (default: all) will write with the free space at the run directory.

    While a checkpoint is written, the kept ones still exist; files of earlier stages remain. The model that is handed over
    takes no space: its files are hard links to the exported ones.
    """
    place = next(each for each in (plan.directory, *plan.directory.parents) if each.is_dir())
    free = shutil.disk_usage(place).free
    total = written = 0
    parts = []
    for stage in plan.recipe.stages if stages is None else stages:
        model = plan.recipe.base_model(stage)
        if isinstance(model, TinyModel):
            parameters: int | None = count_tiny_parameters(model.vocabulary, model.hidden_size, model.layers, model.heads)
        else:
            parameters = count_parameters(model, plan.recipe.base_revision(stage))
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


def check_gpus(hardware: Hardware, platform: Platform) -> Finding:
    """Compare the GPUs of this machine with those that the recipe needs."""
    names = [gpu.name for gpu in list_gpus()]
    if platform == "cpu":
        return Finding("machine", "GPUs", "not used: the platform is cpu" if names else "none: trains on the CPU")
    found = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or "none"
    needed = f"{hardware.nodes} x {hardware.gpus_per_node}" if hardware.nodes > 1 else f"{hardware.gpus_per_node}"
    enough = len(names) >= hardware.gpus_per_node or hardware.nodes > 1
    return Finding("machine", "GPUs", f"{found}{describe_hidden()}; the recipe needs {needed}", "ok" if enough else "wrong")


def gpu_bytes() -> int | None:
    """Return the memory of the smallest GPU of this machine; None if it has none, or nvidia-smi fails."""
    found = [int(size[1]) for gpu in list_gpus() if (size := re.search(r" of (\d+) MiB$", gpu.name))]
    return min(found) << 20 if found else None


def check_environments(environments: Mapping[str, Environment]) -> Iterator[Finding]:
    """Check whether each trainer's environment is built; list its main packages."""
    for name, environment in environments.items():
        what, reason = f"environment of {name}", environment.why_not_ready()
        if not environment.pinned:
            result = reason or f"{environment.python}, chosen by {environment.chosen_by}"
            yield Finding("machine", what, result, "wrong" if reason else "ok")
        elif reason:
            result = f"{reason}; `pipeline run` builds it, as does `{environment.sync_command}`"
            yield Finding("machine", what, result, "note")
        else:
            found = installed_versions(environment.directory)
            shown = [f"{key} {found[key]}" for key in (environment.pin.name, *environment.pin.shows) if key in found]
            yield Finding("machine", what, f"built for {environment.platform}: {', '.join(shown)}")
