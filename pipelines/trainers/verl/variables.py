"""The variables that verl, Ray and vLLM run with, and the folders they name."""

from __future__ import annotations

from pathlib import Path

from pipelines.trainers.base import Context, StagePaths
from pipelines.trainers.verl import cpu, cuda

_ALWAYS = {
    "HYDRA_FULL_ERROR": "1",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_DATASETS_OFFLINE": "1",
    # Nobody is told that this runs.
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def environment(context: Context) -> dict[str, str]:
    """What every verl command needs on the context's platform."""
    platform: dict[str, str] = cpu.ENVIRONMENT if context.platform == "cpu" else cuda.ENVIRONMENT
    # No look-ups on a hub for a model that lies in a folder.
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"} if Path(context.model).is_absolute() else {}
    return _ALWAYS | offline | platform


def training_environment(context: Context) -> dict[str, str]:
    """What a training needs besides: folders of its own for what it would put into the user's home."""
    return environment(context) | {
        "HF_DATASETS_CACHE": str(context.paths.step("train") / "cache" / "datasets"),
        "PIPELINE_METRICS_FOLDER": str(metrics_folder(context.paths)),
    }


def metrics_folder(paths: StagePaths) -> Path:
    """Where each attempt leaves one file of verl's `file` logger."""
    return paths.step("train") / "metrics"
