"""Whether a training is resumed, by the failures before."""

from __future__ import annotations

import pytest

from pipelines.records.steps import Failure
from pipelines.run.faults.policy import decide


def failure(kind: str = "error", reason: str = "ended with status 1", step: int = 5, checkpoint: int = 4) -> Failure:
    return Failure(1, kind, reason, step, checkpoint)


@pytest.mark.parametrize(
    "kind", ["gpu memory", "host memory", "communication", "node", "killed", "crash", "hang", "port", "error"]
)
def test_the_first_failure_is_retried(kind: str) -> None:
    decision = decide([failure(kind)], 3)
    assert (decision.resume, decision.why, decision.pause) == (True, "retry 1 of 3", 0.0)


@pytest.mark.parametrize("kind", ["refused", "stuck"])
def test_what_would_happen_again_is_not_retried(kind: str) -> None:
    assert not decide([failure(kind)], 3).resume


def test_retries_0_retries_nothing() -> None:
    assert not decide([failure("killed")], 0).resume


def test_an_error_before_the_first_step_is_a_mistake_of_the_configuration() -> None:
    assert decide([failure(step=0, checkpoint=0)], 3).why == "not retried: it failed before the first step"
    assert decide([failure("killed", step=0, checkpoint=0)], 3).resume
    assert decide([failure("gpu memory", step=0, checkpoint=0)], 3).resume


def test_the_same_error_at_the_same_step_twice_is_deterministic() -> None:
    one = failure("gpu memory", "CUDA out of memory. Tried to allocate 2.50 GiB, 1.25 GiB free, process 17")
    other = failure("gpu memory", "CUDA out of memory. Tried to allocate 2.50 GiB, 0.75 GiB free, process 4711")
    assert decide([one, other], 3).why == "not retried: the same error at the same step (5) twice"
    elsewhere = failure("gpu memory", other.reason, step=6)
    assert decide([one, elsewhere], 3).resume
    assert not decide([one, failure("crash", "was killed by signal 11"), other], 3).resume, "also with another in between"


@pytest.mark.parametrize("kind", ["killed", "node", "port", "disk"])
def test_what_comes_from_outside_is_not_deterministic(kind: str) -> None:
    decision = decide([failure(kind)] * 2, 3)
    assert (decision.resume, decision.why) == (True, "retry 2 of 3") and decision.pause > 0


def test_failures_without_a_new_checkpoint_are_counted() -> None:
    in_a_row = [failure("killed")] * 4
    assert decide(in_a_row[:3], 3).resume
    assert decide(in_a_row, 3).why == "not retried: 3 retries without a new checkpoint"
    assert decide([*in_a_row, failure("killed", checkpoint=8)], 3).why == "retry 1 of 3", "a checkpoint starts the count again"
    assert decide([failure("killed")] * 2, 1).why == "not retried: 1 retry without a new checkpoint"
