"""Describe a plan in the run directory (`run.json`), for readers that have neither its recipe nor this machine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from pipelines.digests import digest_text
from pipelines.recipe.schema import RlStage
from pipelines.records.manifest import Manifest, PinEntry, StageEntry, StepEntry, project_version, read_manifest, write_manifest
from pipelines.run.plan import Plan, Step
from pipelines.run.versions import find_pin


def describe_run(plan: Plan, selected: Sequence[Step], command: Sequence[str], *, smoke: bool) -> None:
    """Write `run.json`.

    Args:
        plan: The whole plan.
        selected: The steps that this command is to do.
        command: The command line, to continue the run with.
        smoke: Whether the plan is that of a smoke run.
    """
    before = read_manifest(plan.directory)
    manifest = Manifest(
        id=before.id if before and before.id else secrets.token_hex(8),
        project=project_version(),
        name=plan.recipe.name,
        command=list(command),
        folder=str(Path.cwd()),
        platform=plan.machine.platform,
        smoke=smoke,
        stages=[
            StageEntry(
                name=stage.name,
                kind=stage.kind,
                trainer=stage.trainer,
                algorithm=stage.algorithm if isinstance(stage, RlStage) else None,
                steps=stage.steps,
            )
            for stage in plan.recipe.stages
        ],
        steps=[
            StepEntry(
                name=step.name,
                title=step.title,
                stage=step.stage,
                folder=os.path.relpath(step.directory, plan.directory),
                trainer=step.trainer,
                optional=step.optional,
            )
            for step in plan.steps
        ],
        selected=[step.name for step in selected] if len(selected) < len(plan.steps) else [],
        pins=[_describe_environment(plan, trainer) for trainer in plan.machine.pythons],
    )
    write_manifest(plan.directory, manifest)


def _describe_environment(plan: Plan, trainer: str) -> PinEntry:
    pinned = find_pin(plan, trainer)
    if pinned is None:
        return PinEntry(trainer=trainer, python=str(plan.machine.pythons[trainer]))
    lock = pinned.lock(plan.machine.platform).read_text(encoding="utf-8")
    return PinEntry(trainer=trainer, version=pinned.version, lock=digest_text(lock))
