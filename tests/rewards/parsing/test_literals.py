"""Literals and the comparison of plain values."""

from __future__ import annotations

from typing import Any

import pytest

from rewards.parsing.literals import NotLiteralError, is_same, read_literal


def test_literal() -> None:
    assert read_literal(" [1, -2.5, ('a', None), {1: {2}}] ") == [1, -2.5, ("a", None), {1: {2}}]


@pytest.mark.parametrize("text", ["", "x", "f(1)", "1 +", "__import__('os')", "(" * 10_000, "1" * 200_000, "[1" + ",[1" * 5000])
def test_not_a_literal(text: str) -> None:
    with pytest.raises(NotLiteralError):
        read_literal(text)


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
