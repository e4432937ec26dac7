"""Scores of generated responses, with the project's rewards."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.evaluation.records import Appender, Generated, Problem, RecordError, Response, read
from pipelines.evaluation.scoring import SetScorer, follow, score
from rewards.builtin.interpreter_tool import USAGE_KEY
from rewards.scoring.combination import read_combination

TRUTH = json.dumps({"inputs": [[1], [2]], "outputs": [1, 3], "fn_name": "f"})
PROBLEM = Problem("p", ({"role": "user", "content": "?"},), "code", TRUTH, {"id": "p"})


def score_text(text: str, *rewards: dict[str, Any], problem: Problem = PROBLEM, **fields: Any) -> Response:
    combination = read_combination(rewards or [{"name": "code_tests"}])
    return asyncio.run(score(combination, 0, problem, Generated("p", 0, text, 3, "stop", **fields)))


def test_a_program() -> None:
    found = score_text("```python\ndef f(a):\n    return a\n```")
    assert (found.score, found.accuracy, found.share, found.has_form, found.failed) == (0.5, 0.5, 0.5, True, None)
    assert found.reason is not None and found.reason.startswith("test 2: expected 3, got 2")


def test_no_program() -> None:
    found = score_text("I do not know.")
    assert (found.score, found.share, found.has_form, found.reason) == (0, 0, False, "no program in the response")


def test_all_or_nothing_is_no_share_of_tests() -> None:
    found = score_text("```python\ndef f(a):\n    return a\n```", {"name": "code_tests", "options": {"all_or_nothing": True}})
    assert (found.accuracy, found.share) == (0, None)


def test_a_broken_row_is_a_failed_response() -> None:
    problem = Problem("p", PROBLEM.prompt, "code", "{}", {})
    found = score_text("```python\npass\n```", problem=problem)
    assert found.failed is not None and found.failed.startswith("GroundTruthError: ")
    assert (found.score, found.share, found.has_form) == (0, None, None)


def test_a_source_without_a_reward_is_a_failed_response() -> None:
    rewards = ({"name": "code_tests", "data_source": "other"}, {"name": "code_tests", "data_source": "others"})
    assert score_text("", *rewards).failed == "no reward of the set scores data source 'code'"


def test_several_rewards_are_combined() -> None:
    rewards = ({"name": "code_tests", "weight": 2.0}, {"name": "code_tests", "data_source": "*", "weight": 1.0})
    found = score_text("```python\ndef f(a):\n    return a\n```", *rewards)
    assert (found.score, found.accuracy) == (1.5, 0.5)


def test_the_calls_of_a_response_reach_its_reward() -> None:
    usage = {"calls": 2, "malformed": 1, "last_turn": "```python\ndef f(a):\n    return 2 * a - 1\n```"}
    found = score_text("<tool>", {"name": "interpreter"}, usage=usage, calls=2)
    assert found.score == pytest.approx(1.1)
    assert (found.accuracy, found.share, found.calls) == (1, 1, 2)
    assert USAGE_KEY not in PROBLEM.extra_info


def write(path: Path, *records: Problem | Generated | Response) -> None:
    appender = Appender(path)
    for each in records:
        appender.append(each)
    appender.close()


def test_responses_are_scored_while_they_are_generated_and_only_once(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(150)]
    write(tmp_path / "problems.jsonl", *(Problem(name, PROBLEM.prompt, "code", TRUTH) for name in names))
    write(tmp_path / "generated.jsonl", *(Generated(name, 0, "none", 1, "stop") for name in names[:100]))
    write(tmp_path / "responses.jsonl", *(Response(name, 0, "before", 1, "stop", 1.0, 1.0) for name in names[:90]))
    scorer, scored = SetScorer(tmp_path, [{"name": "code_tests"}]), 0

    def count() -> None:
        nonlocal scored
        scored += 1

    def is_ended() -> bool:
        if scored == 10:
            write(tmp_path / "generated.jsonl", *(Generated(name, 0, "none", 1, "stop") for name in names[100:]))
        return scored >= 10

    asyncio.run(follow([scorer], is_ended, count))
    scorer.close()
    assert scored == 60
    found = [*read(tmp_path / "responses.jsonl", Response)]
    assert sorted(each.row for each in found) == sorted(names)
    assert sum(each.text == "before" for each in found) == 90


def test_a_response_of_an_unknown_row_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "problems.jsonl", PROBLEM)
    write(tmp_path / "generated.jsonl", Generated("q", 0, "", 1, "stop"))
    with pytest.raises(RecordError, match=r"generated.jsonl: row 'q' is not in problems.jsonl"):
        SetScorer(tmp_path, [{"name": "code_tests"}]).take()
