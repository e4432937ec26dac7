"""ReMax's baseline: the score of a greedy response to each prompt, which is answered beside its samples, not trained on."""

from __future__ import annotations

from collections.abc import Sequence

FIELD = "reward_baselines"
"""Where the baseline lies among a sample's fields, as verl's own estimator calls it (trainer/ppo/core_algos.py)."""


def split_baselines(
    keys: Sequence[str], scores: Sequence[float], greedy: Sequence[int]
) -> tuple[dict[str, float], list[str], list[str]]:
    """Sorts a step's responses.

    Args:
        keys: verl's, `<prompt>_<session>_<place in the session>`.
        scores: of each response.
        greedy: the greedy session of each response's prompt.

    Returns:
        The greedy response's score of each prompt that has one; the samples of those prompts, in order; the keys of all
        others: the greedy responses, and the samples of prompts whose greedy response failed, of which nothing can be said.
    """
    baselines: dict[str, float] = {}
    samples = []
    for key, score, session in zip(keys, scores, greedy, strict=True):
        prompt, own, _ = key.rsplit("_", 2)
        if int(own) == session:
            baselines[prompt] = score
        else:
            samples.append(key)
    kept = [key for key in samples if prompt_of(key) in baselines]
    staying = set(kept)
    return baselines, kept, [key for key in keys if key not in staying]


def prompt_of(key: str) -> str:
    """The prompt that a response answers."""
    return key.rsplit("_", 2)[0]
