"""Which rewards score a row, and the combination of several."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from rewards.entry import compute_score, compute_score_blocking
from rewards.errors import RewardError
from rewards.scoring.combination import Combination, read_combination, read_part
from tests.rewards.conftest import Plugin


def combination(reward: Any, *given: dict[str, Any]) -> Combination:
    for each in given:
        reward(_gives(0.0), each["name"])
    return read_combination(given)


@pytest.mark.parametrize(
    ("data_source", "keys"),
    [
        ("bootcamp/Game24", ["camp_score"]),
        ("bootcamp/", ["camp_score"]),
        ("openai/gsm8k", ["rest_score"]),
        ("Bootcamp/x", ["rest_score"]),
        ("apps", ["apps_score", "both_score"]),
        ("", ["rest_score"]),
    ],
)
def test_row_is_scored_by_matching_patterns_else_by_rewards_without(reward: Any, data_source: str, keys: list[str]) -> None:
    found = combination(
        reward,
        {"name": "camp", "data_source": "bootcamp/*"},
        {"name": "rest"},
        {"name": "apps", "data_source": "apps"},
        {"name": "both", "data_source": "app?"},
    )
    assert [entry.key for entry in found.matching_rewards(data_source)] == keys


def test_catch_all_pattern_does_not_claim_rows(reward: Any) -> None:
    found = combination(
        reward, {"name": "camp", "data_source": "bootcamp/*"}, {"name": "rest"}, {"name": "every", "data_source": "*"}
    )
    taken = {source: [entry.key for entry in found.matching_rewards(source)] for source in ("bootcamp/x", "y")}
    assert taken == {"bootcamp/x": ["camp_score", "every_score"], "y": ["rest_score", "every_score"]}


def test_second_reward_of_a_name_has_a_number(reward: Any) -> None:
    found = read_combination([{"name": "white_box", "data_source": "a"}, {"name": "white_box", "options": {"best": 1.0}}])
    assert found.keys == ("score", "accuracy", "has_accuracy", "format", "failed", "white_box_score", "white_box_2_score")


def test_single_reward_adds_no_key() -> None:
    assert read_combination([{"name": "white_box", "weight": 0.5}]).keys == (
        "score",
        "accuracy",
        "has_accuracy",
        "format",
        "failed",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "a stage needs a reward"),
        (
            [{"name": "white_box", "wieght": 2.0}],
            "a reward has no key 'wieght'; did you mean 'weight'?",
        ),
        ([{"name": "white_box"}, {"name": "white_bix"}], "did you mean 'white_box'"),
        ([{"name": "white_box", "options": {"bst": 2.0}}], "did you mean 'best'"),
        ([{"name": "white_box", "file": "/nowhere/mine.py"}], "plugin file /nowhere/mine.py not found"),
    ],
)
def test_invalid_rewards(given: Any, message: str) -> None:
    with pytest.raises(RewardError) as caught:
        read_combination(given)
    assert message in str(caught.value)


def test_weighted_sum_has_the_same_keys_for_every_row(reward: Any) -> None:
    scores = {"a": {"score": 2.0, "accuracy": 1.0, "format": 1.0}, "b": {"score": 0.5, "accuracy": 0.0, "format": 0.0}}
    for name, result in scores.items():
        reward(_gives(result), name)
    reward(_gives(-1.0), "length")
    rewards: list[dict[str, Any]] = [
        {"name": "a", "weight": 3.0, "data_source": "x"},
        {"name": "b", "data_source": "[xy]"},
        {"name": "length", "weight": 0.1, "data_source": "*"},
    ]
    both, one, none = (compute_score_blocking(source, "", "", rewards=rewards, max_failed=1.0) for source in "xyz")
    assert both == {
        "score": pytest.approx(3 * 2.0 + 0.5 - 0.1),
        "accuracy": pytest.approx((3 * 1.0 + 0.0) / 4),
        "has_accuracy": 0.0,
        "format": pytest.approx(3 / 4),
        "failed": 0.0,
        "a_score": 2.0,
        "b_score": 0.5,
        "length_score": -1.0,
    }
    assert one | {"score": 0.4} == {
        "score": 0.4,
        "accuracy": 0.0,
        "has_accuracy": 0.0,
        "format": 0.0,
        "failed": 0.0,
        "a_score": 0.0,
        "b_score": 0.5,
        "length_score": -1.0,
    }
    assert none["score"] == pytest.approx(-0.1)
    assert both.keys() == one.keys() == none.keys()


def _gives(result: Any) -> Any:
    return lambda data_source, solution_str, ground_truth, extra_info: result


def test_plain_number_is_also_the_accuracy(reward: Any) -> None:
    reward(_gives(0.5))
    assert compute_score_blocking("d", "", "", rewards=[{"name": "probe", "weight": 2.0}]) == {
        "score": 1.0,
        "accuracy": 0.5,
        "has_accuracy": 0.0,
        "format": 0.0,
        "failed": 0.0,
    }


@pytest.mark.parametrize(
    ("a", "b", "weight", "expected"),
    [
        ({"score": 1.0, "accuracy": 1.0}, {"score": 0.5, "acc": 0.0}, 1.0, 1.0),
        ({"score": 1.0, "accuracy": 1.0}, 0.5, 1.0, 0.0),
        # A penalty has no accuracy.
        ({"score": 1.0, "accuracy": 1.0}, 0.5, -0.1, 1.0),
        (1.0, {"score": 0.5, "accuracy": 0.0}, -0.1, 0.0),
        (math.nan, 0.5, 1.0, 1.0),
    ],
)
def test_accuracy_is_that_of_every_reward(reward: Any, a: Any, b: Any, weight: float, expected: float) -> None:
    reward(_gives(a), "a")
    reward(_gives(b), "b")
    rewards: list[dict[str, Any]] = [{"name": "a"}, {"name": "b", "weight": weight}]
    assert compute_score_blocking("d", "", "", rewards=rewards, max_failed=1.0)["has_accuracy"] == expected


def test_one_failed_reward_fails_the_row(reward: Any) -> None:
    reward(_gives(1.0), "good")
    reward(_gives(math.nan), "bad")
    result = compute_score_blocking("d", "", "", rewards=[{"name": "good"}, {"name": "bad"}], max_failed=1.0)
    zero = dict.fromkeys(("score", "accuracy", "format", "good_score", "bad_score"), 0.0)
    assert result == zero | {"has_accuracy": 1.0, "failed": 1.0}


def test_row_without_a_reward_has_failed(reward: Any, caplog: pytest.LogCaptureFixture) -> None:
    reward(_gives(1.0))
    rewards: list[dict[str, Any]] = [{"name": "probe", "data_source": "a"}, {"name": "white_box", "data_source": "b"}]
    result = asyncio.run(compute_score("other/set", "", "", {"id": "r1"}, rewards=rewards, max_failed=1.0))
    assert (result["score"], result["failed"]) == (0.0, 1.0)
    assert "row r1 of other/set: LookupError: no reward of the recipe scores data source 'other/set'" in caplog.text


def test_file_rewards_combine_with_built_in_ones(plugin: Plugin) -> None:
    path = plugin(
        "@register('mine')\ndef mine(data_source, solution_str, ground_truth, extra_info, *, a: int = 1):\n    return a\n"
    )
    rewards: list[dict[str, Any]] = [
        {"name": "mine", "file": str(path), "options": {"a": 3}},
        {"name": "white_box", "data_source": "w"},
    ]
    assert compute_score_blocking("d", "", "", rewards=rewards)["mine_score"] == 3.0


@pytest.mark.parametrize(
    ("result", "part"),
    [
        (1, (1.0, None, None)),
        (True, (1.0, None, None)),
        ({"score": 0.5}, (0.5, None, None)),
        ({"score": 0.5, "acc": True, "pred": "text"}, (0.5, 1.0, None)),
        ({"score": 0.5, "accuracy": 0.25, "acc": 1.0, "format": 1}, (0.5, 0.25, 1.0)),
    ],
)
def test_valid_results(result: Any, part: Any) -> None:
    found = read_part(result)
    assert (found.score, found.accuracy, found.format) == part


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (math.nan, "score is nan, expected a finite number"),
        ({"score": -math.inf}, "score is -inf, expected a finite number"),
        (None, "score is 'None' (NoneType), expected a number"),
        ("0.5", "score is '0.5' (str), expected a number"),
        (b"1", "score is \"b'1'\" (bytes), expected a number"),
        (1j, "score is '1j' (complex), expected a number"),
        ([1.0], "score is '[1.0]' (list), expected a number"),
        ((1.0, {}), "score is '(1.0, {})' (tuple), expected a number"),
        ({}, "no `score` in its result, whose keys are none"),
        ({"reward": 1.0, "acc": 1}, "no `score` in its result, whose keys are reward, acc"),
        ({"score": 1.0, "accuracy": "high"}, "accuracy is 'high' (str), expected a number"),
        ({"score": 1.0, "format": math.nan}, "format is nan, expected a finite number"),
        (10**400, "int too large to convert to float"),
    ],
)
def test_invalid_results(result: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)) as caught:
        read_part(result)
    assert str(caught.value) == message
