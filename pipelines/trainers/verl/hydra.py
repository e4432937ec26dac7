"""A stage as one Hydra file that is laid over one of verl's own configurations."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.errors import InputError
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.trainers.verl.nested import Settings, look_up, unfold
from pipelines.trainers.yaml_text import to_yaml


def render(below: str, groups: Sequence[str], settings: Settings, title: str) -> str:
    """The file's text.

    Args:
        below: the configuration of verl's that the settings are laid over.
        groups: those that people look for first; they come first.
        settings: nested, verl's own names.
        title: the comment at its head.
    """
    hydra: Settings = {
        # Left alone, Hydra keeps logs and copies of its own in a folder of its own.
        "defaults": [below, "_self_", {"override hydra/job_logging": "stdout"}],
        "hydra": {
            "searchpath": ["pkg://verl.trainer.config"],
            "output_subdir": None,
            "run": {"dir": "."},
        },
    }
    first = [group for group in groups if group in settings]
    return to_yaml(hydra | {group: settings[group] for group in [*first, *settings]}, title)


def upstream_keys(stage: SftStage | RlStage) -> Settings:
    """The stage's `verl:` keys, nested, with the log file among the loggers, from which the chain reads.

    Keys that the chain lives by are not among them: loading a recipe refuses them (pipelines/recipe/reserved_keys.py).
    """
    keys = unfold(stage.verl)
    logger = look_up(keys, "trainer.logger")
    if logger is not None:
        loggers = [logger] if isinstance(logger, str) else list(logger)
        keys["trainer"]["logger"] = loggers if "file" in loggers else [*loggers, "file"]
    return keys


def length(stage: SftStage | RlStage) -> Settings:
    """How long to train.

    verl ends at whichever comes first of total_epochs and total_training_steps, and an epoch has one step at least.

    Raises:
        InputError: a part of an epoch is asked for.
    """
    if stage.steps is not None:
        return {"total_epochs": stage.steps, "total_training_steps": stage.steps}
    assert stage.epochs is not None
    if not stage.epochs.is_integer():
        raise InputError(f"stage {stage.name}: verl counts whole epochs, not {stage.epochs:g}; say `steps` instead")
    return {"total_epochs": int(stage.epochs)}
