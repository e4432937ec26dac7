"""A stage as a Hydra file that overrides one of verl's own configurations."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.errors import InputError
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.trainers.base import Context
from pipelines.trainers.verl.nested import Settings, get_path, unflatten
from pipelines.trainers.yaml_text import to_yaml


def render(base: str, groups: Sequence[str], settings: Settings, title: str) -> str:
    """Return the text of the file.

    Args:
        base: verl's configuration that the settings override.
        groups: the groups to write first.
        settings: nested, verl's names.
        title: the comment at the top.
    """
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


def training_length(stage: SftStage | RlStage) -> Settings:
    """Return `total_epochs` and `total_training_steps`.

    verl ends at whichever comes first, and an epoch has at least one step.

    Raises:
        InputError: the number of epochs is not an integer.
    """
    if stage.steps is not None:
        return {"total_epochs": stage.steps, "total_training_steps": stage.steps}
    assert stage.epochs is not None
    if not stage.epochs.is_integer():
        raise InputError(f"stage {stage.name}: verl trains whole epochs, not {stage.epochs:g}; use `steps` instead")
    return {"total_epochs": int(stage.epochs)}
