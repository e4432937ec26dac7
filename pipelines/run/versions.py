"""The versions that execute a step, for its record."""

from __future__ import annotations

from pipelines.environments.pins import pin
from pipelines.records.manifest import project_version
from pipelines.run.plan import Plan, Step


def versions_of(step: Step, plan: Plan) -> dict[str, str]:
    """Return distribution -> version: this project, and the pinned trainer unless the user chose its environment."""
    found = {"code-post-training": project_version()}
    if step.trainer is not None:
        pinned = pin(step.trainer)
        if plan.machine.pythons[step.trainer].is_relative_to(pinned.environment(plan.machine.platform)):
            found[pinned.name] = pinned.version
    return found
