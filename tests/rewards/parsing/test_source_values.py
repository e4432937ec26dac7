"""Literals and the comparison of plain values."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from rewards.parsing.source_values import LONGEST, NotValueError, is_same, parse, read_literal


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


@pytest.mark.parametrize(
    "text",
    [
        "f(" + "-" * 2000 + "1)",
        "f(" + "1+" * 1200 + "1)",
        "f" + ".f" * 1000 + "()",
        "f" + "()" * 300,
        "f(" + "lambda: " * 300 + "1)",
        "f(" + "[" * 190 + "]" * 190 + ")" + "[0]" * 300,
        "f(" + "not " * 300 + "1)",
        f"f(0x{'f' * 5000})",
        f"f([-0b{'1' * 20_000}])",
        "9" * 5000,
        "1," * LONGEST,
    ],
    ids=lambda text: str(text)[:12],
)
def test_source_that_could_not_be_handled_does_not_parse(text: str) -> None:
    assert parse(text) == []
    assert parse(f"assert {text} == 1") == []


def test_large_source_parses() -> None:
    assert len(parse(f"x = {'[' * 60}{'1, ' * 10_000}{']' * 60}\ny = {'9' * 4000}")) == 2
