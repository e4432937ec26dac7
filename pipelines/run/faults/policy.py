"""Whether a training that failed is resumed. Pure: the same failures give the same decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.records.steps import Failure
from pipelines.run.faults.diagnosis import same_message

_NEVER = {"refused": "", "stuck": ""}
"""Kinds that the same command would meet again."""

_FROM_OUTSIDE = {"killed", "node", "port", "disk"}
"""Kinds that say nothing about the training: met twice at one step, they are still no property of it."""

_SECONDS = (0.0, 10.0, 30.0, 60.0)
"""Pauses before the first, second, … retry without a new checkpoint: a node or a port may take a while to return."""


@dataclass(frozen=True)
class Decision:
    """Whether to resume."""

    resume: bool
    why: str
    """Which retry it is, or why the training is not retried; empty: the reason of the failure says it."""
    pause: float = 0.0
    """Seconds to wait before."""


def decide(failures: Sequence[Failure], retries: int) -> Decision:
    """Return whether to resume a training after its last failure.

    Args:
        failures: all failures since `pipeline run` started, the last one last.
        retries: most failures in a row without a new checkpoint that are followed by another attempt.
    """
    last = failures[-1]
    if last.kind in _NEVER:
        return Decision(False, _NEVER[last.kind])
    if retries == 0:
        return Decision(False, "")
    if last.kind == "error" and not last.step and not last.checkpoint:
        # Nearly always a mistake in the configuration: another attempt costs minutes and hides it.
        return Decision(False, "not retried: it failed before the first step")
    if last.kind not in _FROM_OUTSIDE and any(_is_same(last, each) for each in failures[:-1]):
        return Decision(False, f"not retried: the same error at the same step ({last.step}) twice")
    in_a_row = 0
    for failure in reversed(failures):
        if failure.checkpoint != last.checkpoint:
            break
        in_a_row += 1
    if in_a_row > retries:
        return Decision(False, f"not retried: {retries} {'retry' if retries == 1 else 'retries'} without a new checkpoint")
    return Decision(True, f"retry {in_a_row} of {retries}", _SECONDS[min(in_a_row, len(_SECONDS)) - 1])


def _is_same(one: Failure, other: Failure) -> bool:
    return (one.kind, one.step) == (other.kind, other.step) and same_message(one.reason, other.reason)
