"""The environment variables of verl, Ray and vLLM, and the folder of the metric files."""

from __future__ import annotations

from pathlib import Path

from pipelines.trainers.base import Context, StagePaths
from pipelines.trainers.verl import cpu
from pipelines.trainers.verl.attempt_files import METRICS_FOLDER

_ALWAYS = {
    "HYDRA_FULL_ERROR": "1",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_DATASETS_OFFLINE": "1",
    # No telemetry.
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def environment(context: Context) -> dict[str, str]:
    """Return the variables of every verl command."""
    # A model in a folder needs no requests to the hub.
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"} if Path(context.model).is_absolute() else {}
    return _ALWAYS | offline | (cpu.ENVIRONMENT if context.platform == "cpu" else {})


def training_environment(context: Context) -> dict[str, str]:
    """Return the variables of a training; its caches and metrics go to folders of the stage, not to the user's home."""
    return environment(context) | {
        "HF_DATASETS_CACHE": str(context.paths.step("train") / "cache" / "datasets"),
        METRICS_FOLDER: str(metrics_folder(context.paths)),
    }


def metrics_folder(paths: StagePaths) -> Path:
    """Return the folder in which each attempt writes one file of verl's `file` logger."""
    return paths.step("train") / "metrics"
