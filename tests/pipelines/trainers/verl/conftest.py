"""Fixtures that run programs and trainings in verl's environment."""

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
    """Return PIPELINE_VERL_PYTHON, or the pinned environment's Python."""
    return trainer_python("verl")


@pytest.fixture(scope="session")
def verl_environment() -> dict[str, str]:
    """Return variables with which verl loads this checkout's plugin, even if its environment has the project installed."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "VERL_USE_EXTERNAL_PLUGINS": "none",
        "VERL_USE_EXTERNAL_MODULES": "pipelines.trainers.verl.plugin",
        "HF_HUB_OFFLINE": "1",
    }


@pytest.fixture
def python(verl_python: Path, verl_environment: dict[str, str]) -> Python:
    """Return a function that runs a program in verl's environment."""
    return functools.partial(run_python, verl_python, verl_environment)


@pytest.fixture
def make(tmp_path: Path, verl_python: Path, verl_environment: dict[str, str], python: Python) -> Callable[..., Training]:
    """Return a function that makes a `Training` of a stage (see `make_training`)."""

    def call(stage: RlStage, rows: int = 8, workers: int = 1) -> Training:
        return make_training(stage, tmp_path, verl_python, verl_environment, python, rows, workers)

    return call
