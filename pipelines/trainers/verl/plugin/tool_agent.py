"""Multi-turn generation with tools, with a seed per sample and an interpreter session per response."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from verl.experimental.agent_loop.tool_agent_loop import ToolAgentLoop

from pipelines.trainers.verl.plugin.interpreter import Trajectory
from pipelines.trainers.verl.plugin.sampling import sampling_params as seeded
from pipelines.trainers.verl.plugin.tool_usage import OPENINGS, Usage
from rewards.builtin.interpreter_tool import USAGE_KEY


class SeededToolAgent(ToolAgentLoop):
    """verl's tool agent, seeded per sample like SeededSingleTurn.

    verl creates and releases a tool for each call (experimental/agent_loop/tool_agent_loop.py `_call_tool`), and discards what
    the tool returns about it. This agent, one per response, keeps both: the session, and the usage for metrics and rewards.
    """

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> Any:
        self._trajectory, self._usage = Trajectory(), Usage()
        params = seeded(sampling_params, self.rollout_config.seed, kwargs, int(priority))
        try:
            output = await super().run(params, priority, **kwargs)
        finally:
            await self._trajectory.close()
        output.extra_fields[USAGE_KEY] = {**asdict(self._usage), "last_turn": self._read_last_turn(output)}
        return output

    async def _handle_generating_state(self, agent_data: Any, *args: Any, **kwargs: Any) -> Any:
        agent_data.tool_calls, messages = [], len(agent_data.messages)
        state = await super()._handle_generating_state(agent_data, *args, **kwargs)
        opening = OPENINGS.get(self.tool_parser_name)
        if opening and not agent_data.tool_calls and opening in self.tokenizer.decode(agent_data.response_ids):
            # If the response ends with this turn, verl neither parses its calls nor adds it to the messages.
            self._usage.add_unanswered(parsed=len(agent_data.messages) > messages)
        return state

    async def _call_tool(self, tool_call: Any, tools_kwargs: dict[str, Any], agent_data: Any) -> Any:
        agent_data.interpreter = self._trajectory
        response, reward, outcome = await super()._call_tool(tool_call, tools_kwargs, agent_data)
        self._usage.add(outcome)
        return response, reward, outcome

    def _read_last_turn(self, output: Any) -> str:
        """Return the text after the tool's last reply, decoded as verl's reward managers do."""
        begin = len(output.response_mask)
        while begin and output.response_mask[begin - 1]:
            begin -= 1
        return str(self.tokenizer.decode(output.response_ids[begin:], skip_special_tokens=True))
