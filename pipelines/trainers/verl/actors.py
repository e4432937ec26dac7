"""The variables of verl's actors on the nodes of a Ray cluster, which do not inherit those of `pipeline run`."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pipelines.recipe.nested import Settings
from pipelines.shipped import import_path
from pipelines.trainers.base import Context
from pipelines.trainers.verl.attempt_files import NODES, RUN_DIRECTORY, SHARED_MEMORY_PREFIX, run_prefix


def actor_settings(context: Context, nodes: int, variables: Mapping[str, str]) -> Settings:
    """Return verl's settings that give its actors, on whichever node, the variables of the training.

    They do not affect the trained model. The variables of the user's shell are not among them: they may be secrets, and must
    not be in a configuration.
    """
    directory = context.paths.root.parents[1]
    ours = {
        "PYTHONPATH": os.pathsep.join(filter(None, [variables.get("PYTHONPATH"), str(import_path())])),
        # Loads the plugin where this project is on the path but not installed.
        "VERL_USE_EXTERNAL_MODULES": "pipelines.trainers.verl.plugin",
        RUN_DIRECTORY: str(directory),
        SHARED_MEMORY_PREFIX: run_prefix(directory),
        NODES: str(nodes),
    }
    return {"ray_kwargs": {"ray_init": {"runtime_env": {"env_vars": {**variables, **ours}}}}}
