"""Running things in verl's own environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import pipelines

ROOT = Path(pipelines.__file__).parents[1]


@pytest.fixture(scope="session")
def verl_python(trainer_python: Callable[[str], Path]) -> Path:
    """PIPELINE_VERL_PYTHON, or the pinned environment's."""
    return trainer_python("verl")


@pytest.fixture(scope="session")
def verl_environment() -> dict[str, str]:
    """Variables with which verl loads this checkout's plugin, whether or not its environment has the project installed."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "VERL_USE_EXTERNAL_PLUGINS": "none",
        "VERL_USE_EXTERNAL_MODULES": "pipelines.trainers.verl.plugin",
        "HF_HUB_OFFLINE": "1",
    }
