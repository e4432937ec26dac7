"""The reward that distinguishes responses with equal scores."""

from __future__ import annotations

from pathlib import Path

import pipelines.smoke
from rewards.entry import compute_score_blocking

FILE = str(Path(pipelines.smoke.__file__).with_name("tie_break.py"))
REWARDS = [{"name": "code_tests"}, {"name": "tie_break", "file": FILE, "weight": 0.1, "data_source": "*"}]
TRUTH = '{"inputs": [[1]], "outputs": [2], "fn_name": "f"}'


def score(response: str) -> dict[str, float]:
    result = compute_score_blocking("d", response, TRUTH, {"id": "x"}, rewards=REWARDS)
    assert result["failed"] == 0.0
    return result


def test_wrong_responses_differ_slightly_and_reproducibly() -> None:
    scores = [score(f"nonsense {number}")["score"] for number in range(4)]
    assert len(set(scores)) == 4
    assert all(0 <= each <= 0.1 for each in scores)
    assert score("nonsense 0")["score"] == scores[0]


def test_scores_of_other_rewards_are_unchanged() -> None:
    right = score("```python\ndef f(x):\n    return x + 1\n```")
    assert right["code_tests_score"] == 1.0 and right["accuracy"] == 1.0
    assert score("nonsense")["accuracy"] == 0.0
