"""Assertions parsed as a call and a check."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from rewards.parsing.assertion import Arguments
from rewards.programs.expected_calls import read_check


def _read(text: str) -> Any:
    return read_check(ast.parse(text).body[0], "f")


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("assert f(1) == 2", [2, 2.0], [3, None, "2", [2]]),
        ("assert 2 == f(1)", [2], [3]),
        ("assert f(1) == (1, -2)", [(1, -2)], [[1, -2]]),
        ("assert f(1) == True, 'why'", [True, 1], [False, "True"]),
        ("assert f(1) != 2", [3, None], [2]),
        ("assert f(1) is None", [None], [0, False]),
        ("assert f(1) is True", [True], [1, "x"]),
        ("assert f(1) is not None", [0], [None]),
        ("assert f(1)", [1, "x"], [0, None, []]),
        ("assert not f(1)", [0, None, []], [1, "x"]),
        ("assert abs(f(1) - 2.0 / 3.0) < 1e-6", [0.6666666], [0.67, float("nan"), "x", None, [1]]),
        ("assert abs(0.5 - f(1)) <= 0.5", [1.0, 0], [1.1]),
        ("assert abs(f(1) - 1) < 1", [1.5], [2]),
        ("assert math.isclose(f(1), 100, rel_tol=0.1)", [109], [120, "x"]),
        ("assert f(1) == 'ab' + 'c' * 1 if 0 else 1", [], []),
        ("assert f(1) == 'ab' + 'c'", ["abc"], ["ab"]),
        ("assert f(1) == [3 * 5, (2 - 1,)]", [[15, (1,)]], [[15, [1]]]),
    ],
)
def test_plain_assertion(text: str, right: list[Any], wrong: list[Any]) -> None:
    read = _read(text)
    if not right:
        assert read is None
        return
    arguments, check = read
    assert arguments == Arguments((1,))
    assert [check.accepts(value) for value in right] == [True] * len(right)
    assert [check.accepts(value) for value in wrong] == [False] * len(wrong)


def test_arguments() -> None:
    arguments, _ = _read("assert f([1, {'a': -2}], key=(3 * 2, None)) == 1")
    assert arguments == Arguments(([1, {"a": -2}],), (("key", (6, None)),))


@pytest.mark.parametrize(
    "text",
    [
        "f(1)",
        "assert g(1) == 2",
        "assert f(x) == 2",
        "assert f(1) == x",
        "assert f(*[1]) == 2",
        "assert f(**{'a': 1}) == 2",
        "assert f(1) == f(2)",
        "assert f(1) is 5",
        "assert f(1) == 2 == 2",
        "assert f(1) < 2",
        "assert f(1)[0] == 2",
        "assert f(1) == 10 ** 100",
        "assert f(1) == 'a' * 10 ** 9",
        "assert f(1) == 1 / 0",
        "assert math.isclose(f(1), 2, rel=1)",
        "assert abs(f(1)) < 2",
        "x = f(1)",
    ],
)
def test_other_assertions_are_not_parsed(text: str) -> None:
    assert _read(text) is None
