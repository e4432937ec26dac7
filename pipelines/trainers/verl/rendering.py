"""What rendering has in common for both kinds of stage: the command, its variables, and a Hydra file.

The file overrides one of verl's own configurations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import SettingError
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.trainers.base import Context, Launch, Platform, StagePaths, to_yaml
from pipelines.trainers.verl import cpu
from pipelines.trainers.verl.attempt_files import METRICS_FOLDER, VALIDATIONS
from pipelines.trainers.verl.nested import Settings, get_path, unflatten

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


def render(base: str, groups: Sequence[str], settings: Settings, title: str) -> str:
    """Return the text of a Hydra file whose settings override verl's configuration `base`; `groups` come first."""
    hydra: Settings = {
        # By default Hydra writes logs and copies into a folder of its own.
        "defaults": [base, "_self_", {"override hydra/job_logging": "stdout"}],
        "hydra": {"searchpath": ["pkg://verl.trainer.config"], "output_subdir": None, "run": {"dir": "."}},
    }
    first = [group for group in groups if group in settings]
    return to_yaml(hydra | {group: settings[group] for group in [*first, *settings]}, title)


def command(context: Context, *module: str) -> tuple[str, ...]:
    """Return the command that runs `-m MODULE` on the rendered `train.yaml`."""
    folder = str(context.paths.step("train"))
    return (str(context.python), "-m", *module, "--config-path", folder, "--config-name", "train")


def merge(shards: Path, context: Context, module: str = "verl.model_merger") -> Launch:
    """Render the command that merges a folder of shards into the export."""
    folders = ("--local_dir", str(shards), "--target_dir", str(context.paths.export))
    argv = (str(context.python), "-m", module, "merge", "--backend", "fsdp", *folders)
    return Launch(argv, environment(context.model, context.platform))


def environment(model: str, platform: Platform) -> dict[str, str]:
    """Return the variables of every process that uses verl or vLLM."""
    # A model in a folder needs no requests to the hub.
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"} if Path(model).is_absolute() else {}
    return _VARIABLES | offline | (cpu.ENVIRONMENT if platform == "cpu" else {})


def training_environment(context: Context) -> dict[str, str]:
    """Return the variables of a training; its caches and metrics go to folders of the stage, not to the user's home."""
    return environment(context.model, context.platform) | {
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
