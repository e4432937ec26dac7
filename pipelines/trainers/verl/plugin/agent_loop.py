"""Single-turn generation with a seed per sample: `rollout.agent.agent_loop_config_path`."""

from __future__ import annotations

from typing import Any

from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from pipelines.trainers.verl.plugin.sampling import sampling_params as seeded


class SeededSingleTurn(SingleTurnAgentLoop):
    """verl's single-turn agent, seeded per sample.

    By default vLLM draws from one generator for all requests: samples depend on the order of the requests and on the age of the
    process. verl's `rollout.full_determinism` gives every request the same seed: all samples of a prompt are equal, and GRPO
    learns nothing (workers/rollout/vllm_rollout/vllm_async_server.py).
    """

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> Any:
        params = seeded(sampling_params, self.rollout_config.seed, kwargs, int(priority))
        return await super().run(params, priority, **kwargs)
