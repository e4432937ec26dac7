"""Literals and the comparison of plain values."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from rewards.parsing.source_values import NotValueError, is_same, read_literal


def _parse(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def test_literal() -> None:
    assert read_literal(_parse("[1, -2.5, ('a', None), {1: {2}}, set()]")) == [1, -2.5, ("a", None), {1: {2}}, set()]


@pytest.mark.parametrize("text", ["x", "f(1)", "1 + 2", "{[]: 1}", "__import__('os')", "frozenset()", "float('inf')"])
def test_not_a_literal(text: str) -> None:
    with pytest.raises(NotValueError):
        read_literal(_parse(text))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True),
        (True, 1, False),
        ([1], (1,), False),
        ([1, [2]], [1, [2]], True),
        ({"a": [True]}, {"a": [1]}, False),
        ({"a": 1}, {"a": 1}, True),
        ({1, 2}, {2, 1}, True),
        ("1", 1, False),
        (None, None, True),
    ],
)
def test_is_same(a: Any, b: Any, same: bool) -> None:
    assert is_same(a, b) is same
