"""A conversation with tools in which every sample has a seed of its own, and every response a session of its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from verl.experimental.agent_loop.tool_agent_loop import ToolAgentLoop

from pipelines.trainers.verl.plugin.interpreter import Trajectory
from pipelines.trainers.verl.plugin.sampling import sampling_of
from pipelines.trainers.verl.plugin.tool_usage import FIELD, Usage


class SeededToolAgent(ToolAgentLoop):
    """verl's tool agent, seeded per sample as SeededSingleTurn is.

    verl creates and releases a tool around each single call (experimental/agent_loop/tool_agent_loop.py `_call_tool`), and
    of what a tool says of a call it keeps nothing. One of these is made for each response, so it holds both: what lives from
    call to call, and the counts.
    """

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> Any:
        self._trajectory, self._usage = Trajectory(), Usage()
        try:
            output = await super().run(sampling_of(sampling_params, self.rollout_config.seed, kwargs), priority, **kwargs)
        finally:
            await self._trajectory.close()
        output.extra_fields[FIELD] = asdict(self._usage)
        return output

    async def _call_tool(self, tool_call: Any, tools_kwargs: dict[str, Any], agent_data: Any) -> Any:
        agent_data.interpreter = self._trajectory
        response, reward, said = await super()._call_tool(tool_call, tools_kwargs, agent_data)
        self._usage.add(said)
        return response, reward, said
