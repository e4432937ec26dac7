"""The cause of a failed step: an error of this project comes before its consequences."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.run.failure import describe_end
from pipelines.run.process import Outcome

STOP = (
    "reward mine failed on 32 of 32 responses (100%; max_failed_rewards is 0.1); first on row a of b: KeyError: 'x' (/m.py:7)"
)

RAY = f"""\
--- attempt 1, earlier
RewardError: of an earlier attempt
--- attempt 2, now
ValueError: nothing of it
(RewardLoopWorker pid=7) reward mine failed on row a of b: KeyError: 'x' (/m.py:7) (failure 1 of 1 rows)
\x1b[36m(RewardLoopWorker pid=7)\x1b[0m RewardError: {STOP}; all failures: /{"long/" * 80}failures.jsonl
Traceback (most recent call last):
ray.exceptions.RayTaskError(RewardError): ray::RewardLoopWorker.compute_score() (pid=7)
rewards.errors.RewardError: {STOP}; all failures: /{"long/" * 80}failures.jsonl
""" + "".join(f"(AgentLoopWorker pid={number}) ConnectionError: broken pipe\n" for number in range(600))


@pytest.mark.parametrize("text", [RAY, RAY.replace("rewards.errors.RewardError", "Exception")])
def test_a_reward_error_is_the_cause(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    described = describe_end(Outcome(1), tmp_path / "log")
    assert described == f"ended with status 1: {STOP}; all failures: /{'long/' * 80}failures.jsonl"


def test_else_the_last_error_is_the_cause(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(RAY.replace("RewardError: ", "RewardWarning: "))
    assert describe_end(Outcome(1), tmp_path / "log") == "ended with status 1: ConnectionError: broken pipe"
