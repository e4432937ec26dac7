"""What the processes on the nodes of a Ray cluster need, which do not inherit the variables of `pipeline run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import InputError
from pipelines.shipped import import_path
from pipelines.trainers.base import Launch
from pipelines.trainers.verl.attempt_files import NODES, RUN_DIRECTORY, SHARED_MEMORY_PREFIX, run_prefix

if TYPE_CHECKING:
    from pipelines.recipe.schema import Hardware
    from pipelines.trainers.base import Context

LAUNCHER = "pipelines.run.cluster.launch"
"""The program that starts a command on each node; it runs in verl's environment, which has Ray."""


def ray_settings(context: Context, nodes: int, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return verl's settings that give its actors, on whichever node, the variables of the training.

    They do not affect the trained model. The variables of the user's shell are not among them: they may be secrets, and must
    not be in a configuration.
    """
    directory = run_directory(context)
    ours = {
        "PYTHONPATH": str(import_path()),
        # Loads the plugin where this project is on the path but not installed.
        "VERL_USE_EXTERNAL_MODULES": "pipelines.trainers.verl.plugin",
        RUN_DIRECTORY: str(directory),
        SHARED_MEMORY_PREFIX: run_prefix(directory),
        NODES: str(nodes),
    }
    return {"ray_kwargs": {"ray_init": {"runtime_env": {"env_vars": {**variables, **ours}}}}}


def on_each_node(launch: Launch, context: Context, hardware: Hardware) -> Launch:
    """Return a command that starts a command on each node, with torchrun's variables.

    Args:
        launch: What to start.
        context: The context of its stage.
        hardware: The hardware of its stage, with several nodes.
    """
    if context.ray is None:
        raise InputError(f"hardware.nodes is {hardware.nodes}: verl's environment, which has Ray, is missing")
    place: Sequence[str] = (str(context.ray), "-m", LAUNCHER, str(hardware.nodes), str(hardware.gpus_per_node), "--")
    return replace(launch, argv=(*place, *launch.argv))


def run_directory(context: Context) -> Path:
    """Return the run directory of a stage."""
    return context.paths.root.parents[1]
