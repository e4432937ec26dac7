"""compute_score and the registry: the same keys always, failures counted, mistakes named."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from rewards import registry
from rewards.entry import compute_score, counts
from rewards.registry import RewardError, find, list_rewards, register


@pytest.fixture
def reward() -> Iterator[Any]:
    """Registers a function as `probe` for one test."""

    def add(function: Any) -> None:
        register("probe")(function)

    yield add
    registry._REGISTERED.pop("probe", None)


@pytest.mark.parametrize(
    "result", [math.nan, math.inf, None, "text", {}, {"accuracy": 1.0}, {"score": 1.0, "accuracy": math.nan}]
)
def test_a_reward_that_returns_no_number_is_a_counted_failure(reward: Any, result: Any) -> None:
    reward(lambda *_: result)
    before = counts()
    scored = compute_score("d", "", "", {"id": "row"}, reward="probe")
    assert scored == {"score": 0.0, "accuracy": 0.0, "format": 0.0, "failed": 1.0}
    assert {name: counts()[name] - before[name] for name in before} == {"rows": 1, "failed": 1}


def test_a_reward_that_raises_is_a_counted_failure(reward: Any, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> float:
        raise KeyError("question_answers")

    reward(broken)
    assert compute_score("d", "", "", {"id": "row-7"}, reward="probe")["failed"] == 1.0
    assert "reward probe failed on row row-7 of d: KeyError: 'question_answers'" in caplog.text


def test_a_plain_number_has_the_same_keys(reward: Any) -> None:
    reward(lambda *_: 0.5)
    assert compute_score("d", "", "", reward="probe") == {"score": 0.5, "accuracy": 0.5, "format": 0.0, "failed": 0.0}


def test_a_name_registered_twice(reward: Any) -> None:
    reward(lambda *_: 0.5)
    with pytest.raises(RewardError, match="two rewards are called 'probe'"):
        register("probe")(find)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("white_bix", {}, "did you mean 'white_box'"),
        ("white_box", {"format_bonnus": 1}, "did you mean 'format_bonus'"),
        ("white_box", {"best": "two"}, "option best is 'two', expected float"),
        ("code_tests", {"all_or_nothing": 1}, "expected bool"),
        ("code_tests", {"max_tests": True}, "expected int"),
    ],
)
def test_a_mistake_in_the_recipe_stops_the_run(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RewardError, match=message):
        compute_score("d", "", "{}", reward=name, options=options)


def test_every_reward_says_what_it_measures() -> None:
    assert {"code_tests", "white_box"} <= {each.name for each in list_rewards()}
    assert all(each.help for each in list_rewards())
    assert find("code_tests").options["max_tests"] == 10
