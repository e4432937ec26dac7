"""A trainer's Python for what needs a library that the orchestrator does not have, whichever trainer's it is."""

from __future__ import annotations

from pipelines.environments import TRAINERS, Environment, environment
from pipelines.environments.platform import detected_platform
from pipelines.errors import InputError


def find_ready() -> Environment | None:
    """An environment that is built, or that somebody else built; None where there is none."""
    platform = detected_platform()
    return next((found for trainer in TRAINERS if (found := environment(trainer, platform)).is_ready()), None)


def find_with_ray() -> Environment:
    """verl's environment, which has Ray.

    Raises:
        InputError: it is not built.
    """
    found = environment("verl", detected_platform())
    if not found.is_ready():
        raise InputError("--ray takes Ray, which verl's environment has; build it with `pipeline env sync verl`")
    return found
