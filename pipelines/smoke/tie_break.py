"""The reward that a smoke adds to those of the recipe: a number that differs from response to response."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from rewards.registry import register


@register("tie_break")
def tie_break(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> float:
    """Return a number from 0 to 1 by the digest of the response.

    A tiny random model solves nothing: all its samples would have the same score, and nothing would be trained. With a small
    share of this reward, the algorithm has advantages, DAPO's filter keeps some prompts, and the weights change.
    """
    digest = hashlib.sha256(solution_str.encode("utf-8", errors="replace")).digest()
    return int.from_bytes(digest[:4], "big") / 0xFFFFFFFF
