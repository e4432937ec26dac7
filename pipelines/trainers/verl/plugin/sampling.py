"""Sampling parameters per sample: a seed for each, and greedy responses as ReMax's baselines.

A greedy response to each prompt is generated with its samples but not trained on; its score is the baseline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

GREEDY = "greedy_session"
"""The field of a prompt with the index of its greedy response (verl's session), if any."""

BASELINE_FIELD = "reward_baselines"
"""The field of a sample with its baseline, as verl's estimator names it (trainer/ppo/core_algos.py)."""


def sampling_params(base: Mapping[str, Any], seed: int, sample: Mapping[str, Any], priority: int = 0) -> dict[str, Any]:
    """Return verl's parameters for one sample.

    Args:
        base: Those for all samples.
        seed: The recipe's.
        sample: The keyword arguments that verl passes to an agent loop.
        priority: In verl's legacy trainer, the place of the sample in its batch. That trainer does not number the samples of a
            prompt (experimental/agent_loop/agent_loop.py `_run_agent_loop`), which would all have one seed and be the same.
    """
    step, row = (int(sample.get(key, 0)) for key in ("global_steps", "index"))
    index = int(sample.get("session_id", priority))
    params = {**base, "seed": sample_seed(seed, step, row, index)}
    if GREEDY in sample and int(sample[GREEDY]) == index:
        # What verl sets for all responses of a prompt (trainer/ppo/v1/agent_loop_tq.py `apply_greedy_sampling_params`).
        params |= {"temperature": 0, "top_p": 1.0, "top_k": -1}
    return params


def sample_seed(seed: int, step: int, row: int, sample: int) -> int:
    """Return a 32-bit seed that depends only on the recipe's seed, the step, the row and the sample's index."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}/{row}/{sample}".encode()).digest()[:4], "big")


def split_baselines(
    keys: Sequence[str], scores: Sequence[float], greedy: Sequence[int]
) -> tuple[dict[str, float], list[str], list[str]]:
    """Separate the greedy responses of a step from its samples.

    Args:
        keys: verl's, `<prompt>_<session>_<index in the session>`.
        scores: the score of each response.
        greedy: the greedy session of each response's prompt.

    Returns:
        The greedy response's score by prompt; the samples of those prompts, in order; all other keys: the greedy responses,
        and samples whose prompt's greedy response failed.
    """
    baselines: dict[str, float] = {}
    samples = []
    for key, score, greedy_session in zip(keys, scores, greedy, strict=True):
        prompt, session, _ = key.rsplit("_", 2)
        if int(session) == greedy_session:
            baselines[prompt] = score
        else:
            samples.append(key)
    kept = [key for key in samples if prompt_of(key) in baselines]
    kept_keys = set(kept)
    return baselines, kept, [key for key in keys if key not in kept_keys]


def prompt_of(key: str) -> str:
    """Return the prompt of a response's key."""
    return key.rsplit("_", 2)[0]
