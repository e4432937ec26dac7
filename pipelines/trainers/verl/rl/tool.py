"""What verl is told about a stage's interpreter tool."""

from __future__ import annotations

import math

from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Context
from pipelines.trainers.verl.nested import Settings, look_up
from pipelines.trainers.yaml_text import to_yaml

FILE = "tool.yaml"
"""The file that says which tools there are: `multi_turn.tool_config_path`, which the data's length filter reads, too."""

_CLASS = "pipelines.trainers.verl.plugin.interpreter.Interpreter"

# verl's default of actor_rollout_ref.rollout.agent.num_workers, where neither platform nor recipe says.
_WORKERS = 8


def tool_settings(stage: RlStage, context: Context) -> Settings:
    """verl's settings of several turns; none for a stage without the tool."""
    if stage.tool is None:
        return {}
    turns: Settings = {
        "enable": True,
        "format": stage.tool.format,
        "max_assistant_turns": stage.tool.max_turns,
        # The tool's replies are no longer than this; verl's own, about calls that name no tool of ours, it cuts.
        "max_tool_response_length": stage.tool.max_output_chars,
        "tool_response_truncate_side": "middle",
        "tool_config_path": str(context.paths.step("train") / FILE),
    }
    return {"actor_rollout_ref": {"rollout": {"multi_turn": turns}}}


def tool_file(stage: RlStage, context: Context | None, settings: Settings) -> dict[str, str]:
    """The file of tools, by its name; without a context only what matters to what is trained. Its schema is the class's own."""
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
        said = look_up(settings, "actor_rollout_ref.rollout.agent.num_workers")
        workers = said if isinstance(said, int) else _WORKERS
        config |= {
            "concurrency": tool.concurrency,
            # verl spreads them over the machines in turn.
            "processes": math.ceil(workers / context.recipe.hardware.nodes),
            "sandbox": context.recipe.sandbox.model_dump(exclude_defaults=True),
        }
    return {FILE: to_yaml({"tools": [{"class_name": _CLASS, "config": config}]}, f"verl: the tools of stage {stage.name}")}
