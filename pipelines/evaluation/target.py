"""What is evaluated: a model, a run, a stage, or a step of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.recipe.schema import RlStage, SftStage
from pipelines.run.plan import Plan

FOLDER = "evaluations"
"""The folder of evaluations, in a run directory or the current folder."""


@dataclass(frozen=True)
class Target:
    """A model to evaluate, and where it comes from."""

    text: str
    """As the user wrote it."""
    label: str
    """A stage, `stage@step`, or the model's name."""
    model: str
    """A folder or a hub name; empty if a checkpoint must be exported."""
    home: Path
    """The folder of the target's evaluations."""
    plan: Plan | None = None
    """The run."""
    stage: SftStage | RlStage | None = None
    """The stage of the run that trained it, or that starts from it."""
    checkpoint: Path | None = None
    """The checkpoint to export."""
