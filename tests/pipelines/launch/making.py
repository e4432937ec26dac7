"""Jobs and settings for the tests of scripts and clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.launch.job import Job
from pipelines.launch.settings import Settings
from pipelines.recipe.launching import Launch
from pipelines.recipe.nodes import Node, Origin


def make_job(**values: Any) -> Job:
    """Return a job on two nodes with eight GPUs."""
    given: dict[str, Any] = {
        "name": "mine",
        "runs": Path("/shared/runs"),
        "nodes": 2,
        "gpus": 8,
        "workers": 8,
        "recipe": ("/shared/mine.yaml",),
        "pipeline": "/shared/venv/bin/pipeline",
        "verl": "/shared/verl/bin/python",
        "import_path": "/shared/checkout",
        "paths": (Path("/shared/verl/bin/python"),),
    }
    return Job(**given | values)


def make_settings(**launch: Any) -> Settings:
    """Return settings that were written in line 3 of mine.yaml."""
    return Settings(Launch.model_validate(launch), _node(launch and {"launch": launch}))


def _node(value: Any) -> Node:
    origin = Origin(Path("/"), "mine.yaml:3", (0, 3))
    if isinstance(value, dict):
        return Node({key: _node(each) for key, each in value.items()}, origin)
    return Node([_node(each) for each in value] if isinstance(value, list) else value, origin)
