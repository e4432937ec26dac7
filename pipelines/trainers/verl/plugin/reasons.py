"""How the reasons for a score reach verl's trainer, which logs everything in a response's `reward_extra_info`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.trainers.samples import LONGEST_REASON

REASONS = "pipeline_reasons"
"""The key of a response's reasons: in `reward_extra_info` on the way from the reward's process to the agent loop's, and in the
response's `extra_fields`, which verl does not log, from there on."""

_MOST = 20


def keeps_samples(config: Any) -> bool:
    """Return whether verl's configuration asks for samples: `pipeline.samples`."""
    samples = (config.get("pipeline") or {}).get("samples") or {}
    return bool(samples.get("responses"))


def join_reasons(reasons: Sequence[str]) -> str:
    """Return the first reasons as one text."""
    return "; ".join(reasons[:_MOST])[:LONGEST_REASON]
