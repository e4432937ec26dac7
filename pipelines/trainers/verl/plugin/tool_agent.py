"""A conversation with tools in which every sample has a seed of its own, and every response a session of its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from verl.experimental.agent_loop.tool_agent_loop import ToolAgentLoop

from pipelines.trainers.verl.plugin.interpreter import Trajectory
from pipelines.trainers.verl.plugin.sampling import sampling_of
from pipelines.trainers.verl.plugin.tool_usage import OPENINGS, Usage
from rewards.builtin.interpreter_tool import ACCOUNT


class SeededToolAgent(ToolAgentLoop):
    """verl's tool agent, seeded per sample as SeededSingleTurn is.

    verl creates and releases a tool around each single call (experimental/agent_loop/tool_agent_loop.py `_call_tool`), and
    of what a tool says of a call it keeps nothing. One of these is made for each response, so it holds both: what lives from
    call to call, and the account of it, which metrics and rewards are told.
    """

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> Any:
        self._trajectory, self._usage = Trajectory(), Usage()
        try:
            output = await super().run(sampling_of(sampling_params, self.rollout_config.seed, kwargs), priority, **kwargs)
        finally:
            await self._trajectory.close()
        output.extra_fields[ACCOUNT] = {**asdict(self._usage), "last_turn": self._read_last_turn(output)}
        return output

    async def _handle_generating_state(self, agent_data: Any, *args: Any, **kwargs: Any) -> Any:
        agent_data.tool_calls, said = [], len(agent_data.messages)
        state = await super()._handle_generating_state(agent_data, *args, **kwargs)
        opening = OPENINGS.get(self.tool_parser_name)
        if opening and not agent_data.tool_calls and opening in self.tokenizer.decode(agent_data.response_ids):
            # Of a response that ends with this turn, verl reads no calls, nor takes the turn among the messages.
            self._usage.miss(came_to_it=len(agent_data.messages) > said)
        return state

    async def _call_tool(self, tool_call: Any, tools_kwargs: dict[str, Any], agent_data: Any) -> Any:
        agent_data.interpreter = self._trajectory
        response, reward, said = await super()._call_tool(tool_call, tools_kwargs, agent_data)
        self._usage.add(said)
        return response, reward, said

    def _read_last_turn(self, output: Any) -> str:
        """What the model wrote after the tool's last reply, as verl's reward managers decode a response."""
        begin = len(output.response_mask)
        while begin and output.response_mask[begin - 1]:
            begin -= 1
        return str(self.tokenizer.decode(output.response_ids[begin:], skip_special_tokens=True))
