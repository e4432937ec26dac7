"""Nested settings."""

from __future__ import annotations

import pytest

from pipelines.errors import InputError
from pipelines.trainers.verl.nested import deep_merge, get_path, unflatten


def test_dotted_and_nested_keys_meet() -> None:
    assert unflatten({"a.b": 1, "a": {"c": 2, "d.e": 3}}) == {"a": {"b": 1, "c": 2, "d": {"e": 3}}}


def test_an_empty_group_takes_nothing_away() -> None:
    assert unflatten({"a.b": 1, "a": {}}) == {"a": {"b": 1}}
    assert unflatten({"a": {}}) == {"a": {}}


@pytest.mark.parametrize("keys", [{"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}])
def test_a_value_and_a_group_are_not_both(keys: dict[str, object]) -> None:
    with pytest.raises(InputError, match="a has both a value and keys below it"):
        unflatten(keys)


def test_groups_are_merged_and_all_else_replaced() -> None:
    lower = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert deep_merge(lower, {"a": {"c": [3]}, "d": {"e": 1}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 1}}
    assert lower == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_get_path() -> None:
    assert get_path({"a": {"b": 0}}, "a.b", 5) == 0
    assert get_path({"a": {"b": 0}}, "a.b.c", 5) == 5


def test_an_empty_group_laid_over_another_takes_nothing_away() -> None:
    assert deep_merge({"a": {"b": 1}}, {"a": {}, "c": {}}) == {"a": {"b": 1}, "c": {}}
