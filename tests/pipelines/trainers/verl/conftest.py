"""Running things in verl's own environment."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.recipe.schema import RlStage
from tests import ROOT
from tests.pipelines.trainers.verl.training import Python, Training, make_training, run_python


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


@pytest.fixture
def python(verl_python: Path, verl_environment: dict[str, str]) -> Python:
    """Runs a program in verl's environment; its output."""
    return functools.partial(run_python, verl_python, verl_environment)


@pytest.fixture
def make(tmp_path: Path, verl_python: Path, verl_environment: dict[str, str], python: Python) -> Callable[..., Training]:
    """Gets a stage ready to be trained (see `make_training`)."""

    def call(stage: RlStage, rows: int = 8, workers: int = 1) -> Training:
        return make_training(stage, tmp_path, verl_python, verl_environment, python, rows, workers)

    return call
