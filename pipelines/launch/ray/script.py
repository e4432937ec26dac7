"""Render the script that a Ray job runs."""

from __future__ import annotations

import shlex

from pipelines.launch.job import FOLDER, Job
from pipelines.recipe.launching import RaySettings

FILE = f"{FOLDER}/ray.sh"
"""The script in a run directory."""


def render(job: Job, name: str, settings: RaySettings) -> str:
    """Return the script of a run.

    Args:
        job: What runs.
        name: The run.
        settings: The cluster.
    """
    lines = [
        "#!/bin/bash",
        f"# Run {name} on the Ray cluster of {settings.address}. Written by `pipeline submit`; it runs as a Ray job.",
        "set -uo pipefail",
        *settings.setup,
        # On one node, verl starts a Ray of its own, which has nothing to do with this job's cluster.
        *([] if job.nodes > 1 else ["unset RAY_ADDRESS RAY_JOB_CONFIG_JSON_ENV_VAR"]),
        f"exec {shlex.join(job.command(name))}",
    ]
    return "\n".join(lines) + "\n"


def entrypoint(job: Job, name: str) -> str:
    """Return the command line of the Ray job."""
    return shlex.join(["bash", str(job.directory(name) / FILE)])
