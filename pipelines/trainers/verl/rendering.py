"""What rendering has in common for both kinds of stage: the command, its variables, and a Hydra file.

The file overrides one of verl's own configurations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.errors import SettingError
from pipelines.recipe.nested import Settings, get_path, unflatten
from pipelines.recipe.schema import Lora, RlStage, SftStage
from pipelines.trainers.base import OFFLINE, Context, Launch, Platform, StagePaths, to_yaml
from pipelines.trainers.verl import cpu
from pipelines.trainers.verl.attempt_files import METRICS_FOLDER, VALIDATIONS

_VARIABLES = {
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


def render(base: str | None, groups: Sequence[str], settings: Settings, title: str) -> str:
    """Return the text of a Hydra file whose settings override verl's configuration `base`; `groups` come first.

    Args:
        base: None: the file is composed over another configuration by the command line.
        groups: Groups of settings.
        settings: The settings, nested.
        title: A comment.
    """
    hydra: Settings = {
        # By default Hydra writes logs and copies into a folder of its own.
        "defaults": [base, "_self_", {"override hydra/job_logging": "stdout"}],
        "hydra": {"searchpath": ["pkg://verl.trainer.config"], "output_subdir": None, "run": {"dir": "."}},
    }
    if base is None:
        hydra = {}
    first = [group for group in groups if group in settings]
    return to_yaml(hydra | {group: settings[group] for group in [*first, *settings]}, title)


def command(context: Context, *module: str) -> tuple[str, ...]:
    """Return the command that runs `-m MODULE` on the rendered `train.yaml`."""
    folder = str(context.paths.step("train"))
    return (str(context.python), "-m", *module, "--config-path", folder, "--config-name", "train")


def merge(shards: Path, context: Context, module: str) -> Launch:
    """Render the command that merges a folder of shards into the export."""
    folders = ("--local_dir", str(shards), "--target_dir", str(context.paths.export))
    argv = (str(context.python), "-m", module, "merge", "--backend", "fsdp", *folders)
    return Launch(argv, environment(context.model, context.platform))


def environment(model: str, platform: Platform, keys: Settings | None = None) -> dict[str, str]:
    """Return the variables of every process that uses verl or vLLM.

    Args:
        model: The model: a folder or a hub name.
        platform: The platform.
        keys: Upstream keys, which may name other models.
    """
    # Folders need no requests to the hub. A value of the user takes precedence (`run.process`).
    is_local = Path(model).is_absolute() and not any(_hub_names(keys or {}))
    offline = dict.fromkeys(OFFLINE, "1") if is_local else {}
    return _VARIABLES | offline | (cpu.ENVIRONMENT if platform == "cpu" else {})


def _hub_names(keys: Settings) -> Iterator[str]:
    """Yield the values that may be names on the hub: of keys such as `model.path` and `tokenizer_path`."""
    for key, value in keys.items():
        if isinstance(value, dict):
            yield from _hub_names(value)
        elif isinstance(value, str) and key.endswith("path") and re.fullmatch(r"[\w.-]+/[\w.-]+", value):
            yield value


def training_environment(context: Context, stage: SftStage | RlStage) -> dict[str, str]:
    """Return the variables of a training; its caches and metrics go to folders of the stage, not to the user's home."""
    return environment(context.model, context.platform, unflatten(stage.verl)) | {
        "HF_DATASETS_CACHE": str(context.paths.step("train") / "cache" / "datasets"),
        METRICS_FOLDER: str(metrics_folder(context.paths)),
    }


def metrics_folder(paths: StagePaths) -> Path:
    """Return the folder in which each attempt writes one file of verl's `file` logger."""
    return paths.step("train") / "metrics"


def validations_folder(paths: StagePaths) -> Path:
    """Return the folder in which verl's process saves each validation of an RL stage (`checkpoints.validations`)."""
    return metrics_folder(paths).with_name(VALIDATIONS)


def upstream_keys(stage: SftStage | RlStage) -> Settings:
    """Return the stage's `verl:` keys, nested, with verl's `file` logger added to the loggers: progress is read from its file.

    Loading a recipe has refused the keys that the chain sets itself (pipelines/recipe/reserved_keys.py).
    """
    keys = unflatten(stage.verl)
    logger = get_path(keys, "trainer.logger")
    if logger is not None:
        loggers = [logger] if isinstance(logger, str) else list(logger)
        keys["trainer"]["logger"] = loggers if "file" in loggers else [*loggers, "file"]
    return keys


def lora_settings(lora: Lora | None) -> Settings:
    """Return the keys of verl's model that train adapters; empty for the whole model."""
    if lora is None:
        return {}
    target = "all-linear" if lora.target == "all" else [name.strip() for name in lora.target.split(",")]
    return {"lora_rank": lora.rank, "lora_alpha": lora.alpha, "target_modules": target}


def merge_module(stage: SftStage | RlStage) -> str:
    """Return the module that merges a stage's shards, and its adapters, which verl leaves separate, into the model."""
    return "pipelines.trainers.verl.checkpoints.merge_adapters" if stage.lora else "verl.model_merger"


def template_arguments(stage: SftStage | RlStage) -> Settings:
    """Return the arguments of the chat template with which verl renders the stage's rows."""
    return dict(get_path(unflatten(stage.verl), "data.apply_chat_template_kwargs") or {})


def training_length(stage: SftStage | RlStage) -> Settings:
    """Return `total_epochs` and `total_training_steps`; verl ends at whichever comes first."""
    if stage.steps is not None:
        return {"total_epochs": stage.steps, "total_training_steps": stage.steps}
    assert stage.epochs is not None
    if not stage.epochs.is_integer():
        message = f"verl trains whole epochs, not {stage.epochs:g}; use `steps` instead"
        raise SettingError(("stages", stage.name, "epochs"), message)
    return {"total_epochs": int(stage.epochs)}
