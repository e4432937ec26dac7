"""Unflattening and merging settings."""

from __future__ import annotations

import pytest

from pipelines.errors import InputError
from pipelines.recipe.nested import deep_merge, get_path, unflatten


def test_dotted_and_nested_keys_are_combined() -> None:
    assert unflatten({"a.b": 1, "a": {"c": 2, "d.e": 3}}) == {"a": {"b": 1, "c": 2, "d": {"e": 3}}}


def test_empty_group_keeps_other_keys() -> None:
    assert unflatten({"a.b": 1, "a": {}}) == {"a": {"b": 1}}
    assert unflatten({"a": {}}) == {"a": {}}


@pytest.mark.parametrize("keys", [{"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}])
def test_value_and_group_conflict(keys: dict[str, object]) -> None:
    with pytest.raises(InputError, match="a has both a value and keys below it"):
        unflatten(keys)


def test_deep_merge_merges_groups_and_replaces_values() -> None:
    lower = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert deep_merge(lower, {"a": {"c": [3]}, "d": {"e": 1}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 1}}
    assert lower == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_get_path_returns_value_or_default() -> None:
    assert get_path({"a": {"b": 0}}, "a.b", 5) == 0
    assert get_path({"a": {"b": 0}}, "a.b.c", 5) == 5


def test_deep_merge_with_empty_group_keeps_keys() -> None:
    assert deep_merge({"a": {"b": 1}}, {"a": {}, "c": {}}) == {"a": {"b": 1}, "c": {}}
