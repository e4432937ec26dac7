"""Check whether this machine has the cores that verl asks of Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.checks.findings import Finding
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.trainers.base import Platform
from pipelines.trainers.verl.rl.cores import GIVEN, STORES, asked_cores, given_cores


def check_cores(stages: Sequence[SftStage | RlStage], recipe: Recipe, platform: Platform) -> Iterator[Finding]:
    """Compare the cores of this machine with those that verl asks of Ray, for runs on its GPUs.

    On several nodes, Ray runs already, and knows the cores of each (`cluster`).
    """
    alone = [stage for stage in stages if isinstance(stage, RlStage) and recipe.hardware_of(stage).nodes == 1]
    if platform == "cpu" or not alone:
        return
    asked = [
        (given_cores(stage) or count_cores(), asked_cores(stage, recipe.hardware_of(stage)), stage.name) for stage in alone
    ]
    found, held, name = min(asked, key=lambda each: each[0] - sum(each[1].values()))
    needed = sum(held.values())
    if found >= needed:
        yield Finding("machine", "cores", f"{found}; verl asks Ray for {needed}")
        return
    parts = ", ".join(f"{count} for {what}" for what, count in held.items())
    fix = f"set stages.{name}.verl.{STORES} to a smaller number than 8, or {GIVEN} to {needed}"
    result = f"{found}, fewer than the {needed} that verl asks of Ray ({parts}): training would wait without an end; {fix}"
    yield Finding("machine", "cores", result, "note")


def count_cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the cores of this machine as Ray counts them: a container's quota applies, the affinity of a process does not."""
    cores = os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
        return min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores
