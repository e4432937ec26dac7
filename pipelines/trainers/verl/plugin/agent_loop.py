"""Single-turn generation in which every sample has a seed of its own: `rollout.agent.agent_loop_config_path`."""

from __future__ import annotations

from typing import Any

from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from pipelines.trainers.verl.plugin.sampling import sampling_of


class SeededSingleTurn(SingleTurnAgentLoop):
    """verl's single-turn agent, seeded per sample.

    Left to itself, vLLM draws from one generator for all requests, so samples depend on the order in which requests
    arrive and on how long the process has lived; verl's `rollout.full_determinism` gives every request the same seed, with
    which all samples of a prompt are equal and GRPO learns nothing (workers/rollout/vllm_rollout/vllm_async_server.py).
    """

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> Any:
        return await super().run(sampling_of(sampling_params, self.rollout_config.seed, kwargs), priority, **kwargs)
