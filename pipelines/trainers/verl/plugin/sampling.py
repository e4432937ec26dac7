"""How each sample is drawn: with a seed of its own, or greedily where it is a baseline."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

GREEDY = "greedy_session"
"""The field of a prompt that says which of its responses (verl's sessions) is to be greedy; most prompts have none."""


def sampling_of(sampling: Mapping[str, Any], seed: int, sample: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling parameters of one sample, which verl tells an agent loop of by these keys."""
    step, row, place = (int(sample.get(key, 0)) for key in ("global_steps", "index", "session_id"))
    own = {**sampling, "seed": sample_seed(seed, step, row, place)}
    if GREEDY in sample and int(sample[GREEDY]) == place:
        # As verl has it for all of a prompt's responses (trainer/ppo/v1/agent_loop_tq.py `apply_greedy_sampling_params`).
        own |= {"temperature": 0, "top_p": 1.0, "top_k": -1}
    return own


def sample_seed(seed: int, step: int, row: int, sample: int) -> int:
    """32 bits that are the same whatever else is generated at the time, and however often the run was killed.

    Args:
        seed: the recipe's.
        step: the training step that the sample is for.
        row: the row's index in its file.
        sample: which of the prompt's samples it is.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}/{row}/{sample}".encode()).digest()[:4], "big")
