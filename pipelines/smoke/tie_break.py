"""The reward that a smoke adds to those of the recipe, by its file: a number that is another for every other response."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from rewards.registry import register


@register("tie_break")
def tie_break(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> float:
    """From 0 to 1 by a digest of the response: something to learn from for a model that knows nothing.

    A tiny random model gets no task right, so all its samples score alike and nothing is trained; with a little of this the
    algorithm has advantages, DAPO's filter has prompts that pass, and the weights move.
    """
    digest = hashlib.sha256(solution_str.encode("utf-8", errors="replace")).digest()
    return int.from_bytes(digest[:4], "big") / 0xFFFFFFFF
