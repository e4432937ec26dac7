"""ReMax's baseline: the score of a greedy response to each prompt, generated with its samples but not trained on."""

from __future__ import annotations

from collections.abc import Sequence

FIELD = "reward_baselines"
"""The field of a sample with its baseline, as verl's estimator names it (trainer/ppo/core_algos.py)."""


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
