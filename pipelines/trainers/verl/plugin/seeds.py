"""The seed of each sample."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def seeded(sampling: Mapping[str, Any], seed: int, sample: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling parameters with the seed of a sample, which verl tells an agent loop of by these keys."""
    step, row, place = (int(sample.get(key, 0)) for key in ("global_steps", "index", "session_id"))
    return {**sampling, "seed": sample_seed(seed, step, row, place)}


def sample_seed(seed: int, step: int, row: int, sample: int) -> int:
    """32 bits that are the same whatever else is generated at the time, and however often the run was killed.

    Args:
        seed: the recipe's.
        step: the training step that the sample is for.
        row: the row's index in its file.
        sample: which of the prompt's samples it is.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}/{row}/{sample}".encode()).digest()[:4], "big")
