"""A trainer's Python for what needs a library that the orchestrator does not have, whichever trainer's it is."""

from __future__ import annotations

from pipelines.environments import TRAINERS, Environment, environment
from pipelines.environments.machine import detected_platform


def find_ready() -> Environment | None:
    """An environment that is built, or that somebody else built; None where there is none."""
    platform = detected_platform()
    return next((found for trainer in TRAINERS if (found := environment(trainer, platform)).is_ready()), None)
