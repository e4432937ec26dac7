"""Sampling parameters per sample: a seed for each, greedy decoding for baselines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

GREEDY = "greedy_session"
"""The field of a prompt with the index of its greedy response (verl's session), if any."""


def sampling_params(base: Mapping[str, Any], seed: int, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sampling parameters of one sample.

    Args:
        base: verl's parameters.
        seed: the recipe's.
        sample: the keyword arguments that verl passes to an agent loop.
    """
    step, row, index = (int(sample.get(key, 0)) for key in ("global_steps", "index", "session_id"))
    params = {**base, "seed": sample_seed(seed, step, row, index)}
    if GREEDY in sample and int(sample[GREEDY]) == index:
        # What verl sets for all responses of a prompt (trainer/ppo/v1/agent_loop_tq.py `apply_greedy_sampling_params`).
        params |= {"temperature": 0, "top_p": 1.0, "top_k": -1}
    return params


def sample_seed(seed: int, step: int, row: int, sample: int) -> int:
    """Return a 32-bit seed that depends only on the recipe's seed, the step, the row and the sample's index."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}/{row}/{sample}".encode()).digest()[:4], "big")
