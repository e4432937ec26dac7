"""Start a training on each of several nodes of a Ray cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.errors import InputError
from pipelines.trainers.base import Launch

if TYPE_CHECKING:
    from pipelines.recipe.schema import Hardware
    from pipelines.trainers.base import Context

LAUNCHER = "pipelines.run.cluster.launch"
"""The program that starts a command on each node; it runs in verl's environment, which has Ray."""


def on_each_node(launch: Launch, context: Context, hardware: Hardware) -> Launch:
    """Return a command that starts a command on each node, with torchrun's variables.

    Args:
        launch: What to start.
        context: The context of its stage.
        hardware: The hardware of its stage, with several nodes.
    """
    if context.ray is None:
        raise InputError(f"hardware.nodes is {hardware.nodes}: verl's environment, which has Ray, is missing")
    place = (str(context.ray), "-m", LAUNCHER, str(hardware.nodes), str(hardware.gpus_per_node), "--")
    return replace(launch, argv=(*place, *launch.argv))
