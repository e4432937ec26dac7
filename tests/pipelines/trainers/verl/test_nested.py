"""Nested settings."""

from __future__ import annotations

import pytest

from pipelines.errors import InputError
from pipelines.trainers.verl.nested import lay_over, look_up, unfold


def test_dotted_and_nested_keys_meet() -> None:
    assert unfold({"a.b": 1, "a": {"c": 2, "d.e": 3}}) == {"a": {"b": 1, "c": 2, "d": {"e": 3}}}


def test_an_empty_group_takes_nothing_away() -> None:
    assert unfold({"a.b": 1, "a": {}}) == {"a": {"b": 1}}
    assert unfold({"a": {}}) == {"a": {}}


@pytest.mark.parametrize("keys", [{"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}])
def test_a_value_and_a_group_are_not_both(keys: dict[str, object]) -> None:
    with pytest.raises(InputError, match="a is given a value and keys below it"):
        unfold(keys)


def test_groups_are_merged_and_all_else_replaced() -> None:
    lower = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert lay_over(lower, {"a": {"c": [3]}, "d": {"e": 1}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 1}}
    assert lower == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_look_up() -> None:
    assert look_up({"a": {"b": 0}}, "a.b", 5) == 0
    assert look_up({"a": {"b": 0}}, "a.b.c", 5) == 5


def test_an_empty_group_laid_over_another_takes_nothing_away() -> None:
    assert lay_over({"a": {"b": 1}}, {"a": {}, "c": {}}) == {"a": {"b": 1}, "c": {}}
