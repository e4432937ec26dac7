"""Find a trainer's Python for work that needs a library which the orchestrator does not have."""

from __future__ import annotations

from pipelines.environments import TRAINERS, Environment, environment
from pipelines.environments.platform import detected_platform
from pipelines.errors import InputError


def find_ready() -> Environment | None:
    """Return the first environment that is ready; None if none is."""
    platform = detected_platform()
    return next((found for trainer in TRAINERS if (found := environment(trainer, platform)).is_ready()), None)


def find_with_ray() -> Environment:
    """Return verl's environment, which has Ray.

    Raises:
        InputError: It is not ready.
    """
    found = environment("verl", detected_platform())
    if not found.is_ready():
        raise InputError("--ray needs Ray, which is in verl's environment; build it with `pipeline env sync verl`")
    return found
