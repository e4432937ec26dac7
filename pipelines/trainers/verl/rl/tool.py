"""verl's settings for a stage's interpreter tool."""

from __future__ import annotations

import math

from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Context, to_yaml
from pipelines.trainers.verl.nested import Settings, count_workers

FILE = "tool.yaml"
"""The file that defines the tools: `multi_turn.tool_config_path`. The length filter of the data reads it too."""


def tool_settings(stage: RlStage, context: Context) -> Settings:
    """Return verl's multi-turn settings; empty for a stage without the tool."""
    if stage.tool is None:
        return {}
    turns: Settings = {
        "enable": True,
        "format": stage.tool.format,
        "max_assistant_turns": stage.tool.max_turns,
        # The tool's replies are not longer than this; verl cuts its own, to calls of unknown tools.
        "max_tool_response_length": stage.tool.max_output_chars,
        "tool_response_truncate_side": "middle",
        "tool_config_path": str(context.paths.step("train") / FILE),
    }
    return {"actor_rollout_ref": {"rollout": {"multi_turn": turns}}}


def tool_file(stage: RlStage, context: Context | None, settings: Settings) -> dict[str, str]:
    """Return the file of tools by its name; without a context, only the settings that affect the trained model."""
    if stage.tool is None:
        return {}
    tool = stage.tool
    config: Settings = {
        "type": "native",
        "stateful": tool.stateful,
        "seconds": tool.seconds,
        "max_output_chars": tool.max_output_chars,
    }
    if context is not None:
        workers = count_workers(settings, "actor_rollout_ref.rollout.agent.num_workers")
        config |= {
            "concurrency": tool.concurrency,
            # verl distributes them round-robin over the machines.
            "processes": math.ceil(workers / context.recipe.hardware.nodes),
            "sandbox": context.recipe.sandbox.model_dump(exclude_defaults=True),
        }
    name = "pipelines.trainers.verl.plugin.interpreter.Interpreter"
    return {FILE: to_yaml({"tools": [{"class_name": name, "config": config}]}, f"verl: the tools of stage {stage.name}")}
