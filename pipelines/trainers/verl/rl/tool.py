"""verl's settings for a stage's interpreter tool."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipelines.recipe.nested import Settings, count_workers
from pipelines.recipe.schema import RlStage, Tool
from pipelines.trainers.base import Context, to_yaml

FILE = "tool.yaml"
"""The file that defines the tools: `multi_turn.tool_config_path`. The length filter of the data reads it too."""


def tool_settings(stage: RlStage, context: Context | None) -> Settings:
    """Return verl's multi-turn settings; empty for a stage without the tool; without a context, no file of tools is named."""
    if stage.tool is None:
        return {}
    turns: Settings = {
        "enable": True,
        "format": stage.tool.format,
        "max_assistant_turns": stage.tool.max_turns,
        # The tool's replies are not longer than this; verl cuts its own, to calls of unknown tools.
        "max_tool_response_length": stage.tool.max_output_chars,
        "tool_response_truncate_side": "middle",
    }
    if context is not None:
        turns["tool_config_path"] = str(context.paths.step("train") / FILE)
    return {"actor_rollout_ref": {"rollout": {"multi_turn": turns}}}


def tool_file(stage: RlStage, context: Context | None, settings: Settings) -> dict[str, str]:
    """Return the file of tools by its name; without a context, only the settings that affect the trained model."""
    if stage.tool is None:
        return {}
    config = _behaviour(stage.tool)
    if context is not None:
        workers = count_workers(settings, "actor_rollout_ref.rollout.agent.num_workers")
        # verl distributes them round-robin over the machines.
        processes = math.ceil(workers / context.recipe.hardware_of(stage).nodes)
        config = tool_config(stage.tool, processes, context.recipe.sandbox.model_dump(exclude_defaults=True))
    name = "pipelines.trainers.verl.plugin.interpreter.Interpreter"
    return {FILE: to_yaml({"tools": [{"class_name": name, "config": config}]}, f"verl: the tools of stage {stage.name}")}


def tool_config(tool: Tool, processes: int, sandbox: Mapping[str, Any]) -> Settings:
    """Return the configuration of the tool's class.

    Args:
        tool: the recipe's.
        processes: how many processes of a machine serve it.
        sandbox: the recipe's `sandbox`.
    """
    return _behaviour(tool) | {"concurrency": tool.concurrency, "processes": processes, "sandbox": dict(sandbox)}


def _behaviour(tool: Tool) -> Settings:
    """Return the settings that affect the trained model."""
    return {
        "type": "native",
        "stateful": tool.stateful,
        "seconds": tool.seconds,
        "max_output_chars": tool.max_output_chars,
    }
