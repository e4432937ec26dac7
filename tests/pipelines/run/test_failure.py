"""The cause of a failed step: what this project said on purpose before anything that followed from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.run.failure import describe_end
from pipelines.run.process import Outcome

STOP = (
    "reward mine failed on 32 of 32 responses (100%; max_failed_rewards is 0.1); first on row a of b: KeyError: 'x' (/m.py:7)"
)

RAY = f"""\
--- attempt 1, before
RewardError: of an attempt before
--- attempt 2, now
ValueError: nothing of it
(RewardLoopWorker pid=7) reward mine failed on row a of b: KeyError: 'x' (/m.py:7) (failure 1 of 1 rows)
\x1b[36m(RewardLoopWorker pid=7)\x1b[0m RewardError: {STOP}; all failures: /{"long/" * 80}failures.jsonl
Traceback (most recent call last):
ray.exceptions.RayTaskError(RewardError): ray::RewardLoopWorker.compute_score() (pid=7)
rewards.errors.RewardError: {STOP}; all failures: /{"long/" * 80}failures.jsonl
""" + "".join(f"(AgentLoopWorker pid={number}) ConnectionError: broken pipe\n" for number in range(600))


def outcome(status: int) -> Outcome:
    return Outcome(status=status, orphans=())


@pytest.mark.parametrize("text", [RAY, RAY.replace("rewards.errors.RewardError", "Exception")])
def test_a_reward_that_ended_the_run_is_the_cause(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    said = describe_end(outcome(1), tmp_path / "log")
    assert said == f"ended with status 1: {STOP}; all failures: /{'long/' * 80}failures.jsonl"


def test_without_one_the_last_error_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(RAY.replace("RewardError: ", "RewardWarning: "))
    assert describe_end(outcome(1), tmp_path / "log") == "ended with status 1: ConnectionError: broken pipe"
