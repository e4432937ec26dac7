"""The versions and pins that execute the steps of a plan, for its records."""

from __future__ import annotations

from pipelines.environments.pins import Pin, pin
from pipelines.records.manifest import project_version
from pipelines.run.plan import Plan, Step


def find_pin(plan: Plan, trainer: str) -> Pin | None:
    """Return the pin by which a trainer's environment was built; None if the user chose the environment."""
    pinned = pin(trainer)
    built = pinned.environment(plan.machine.platform)
    return pinned if plan.machine.pythons[trainer].is_relative_to(built) else None


def versions_of(step: Step, plan: Plan) -> dict[str, str]:
    """Return distribution -> version: this project, and the trainer if its environment was built by its pin."""
    found = {"code-post-training": project_version()}
    if step.trainer is not None and (pinned := find_pin(plan, step.trainer)) is not None:
        found[pinned.name] = pinned.version
    return found
