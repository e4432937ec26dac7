"""Comparison of outputs and values with the expected ones."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rewards.programs.inside.judge.comparison import is_accepted, is_accepted_text


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("3\n", "3"),
        ("3  \n4\n\n\n", "3\n4"),
        ("  3\r\n4\r\n", "3\n4"),
        ("a\n\nb", "a\nb"),
        ("1  2", "1 2"),
        ("10", "10.0"),
        ("-0", "0"),
        ("+7", "7"),
        ("007", "7"),
        ("0.333333", "0.3333333333"),
        ("1e3", "1000.0"),
        ("Case 1: 0.50000001 yes", "Case 1: 0.5 yes"),
        ("2.9999999999", "3"),
        ("nan", "nan"),
        ("", " \n"),
    ],
)
def test_accepted_texts(output: str, expected: str) -> None:
    assert is_accepted_text(output, expected)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("3", "4"),
        ("", "3"),
        ("3 4", "3\n4"),
        ("4\n3", "3\n4"),
        ("1 2 2", "1 2"),
        ("50000000000000001", "50000000000000000"),
        ("-5", "5"),
        ("1e9", "999999998"),
        ("1e400", "1.5"),
        ("inf", "1.5"),
        ("nan", "1.5"),
        ("1.5", "nan"),
        ("1.50002", "1.5"),
        ("yes", "Yes"),
        ("\u0661", "1"),
        ("1_0", "10"),
        ("9" * 5000 + ".1", "9" * 5000 + ".2"),
    ],
)
def test_rejected_texts(output: str, expected: str) -> None:
    assert not is_accepted_text(output, expected)
    assert is_accepted_text(expected, expected)


def test_lines_in_any_order() -> None:
    assert is_accepted_text("b\na 1.0\n", "a 1\nb", any_order=True)
    assert not is_accepted_text("a\na", "a\nb", any_order=True)
    assert not is_accepted_text("a b", "b a", any_order=True)


@pytest.mark.parametrize(
    ("value", "expected", "accepted"),
    [
        ((1, [2, (3,)]), [1, [2, [3]]], True),
        (0.1 + 0.2, 0.3, True),
        (1, 1.0, True),
        ({1: "a"}, {"1": "a"}, False),
        ({1: 0.5}, {1: 0.50000001}, True),
        (float("inf"), float("inf"), True),
        (float("inf"), 1e308, False),
        (float("nan"), float("nan"), False),
        (10**400, 1.5, False),
        ({1, 2}, [1, 2], False),
        ("12", 12, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ("a", ["a"], False),
        (None, 0, False),
        (None, [], False),
    ],
)
def test_values(value: Any, expected: Any, accepted: bool) -> None:
    assert is_accepted(value, expected) is accepted


def test_items_in_any_order() -> None:
    assert is_accepted([[2, 1], [0.3]], [[0.1 + 0.2], [2, 1]], any_order=True)
    assert is_accepted([None, "a", 1], [1, None, "a"], any_order=True)
    assert not is_accepted([[1, 2]], [[2, 1]], any_order=True)
    assert not is_accepted([1, 1, 2], [1, 2, 2], any_order=True)


def test_long_outputs_take_linear_time() -> None:
    text = "\n".join(f"{n} {n / 7:.6f}" for n in range(100_000))
    began = time.process_time()
    assert is_accepted_text(text + " \n", text)
    assert is_accepted_text(text.replace("\n", " \n"), text)
    assert not is_accepted_text(text + "x", text)
    assert not is_accepted_text("\n".join(["x"] * 100_000), "\n".join(["y"] * 100_000), any_order=True)
    assert not is_accepted_text("9" * 1_000_000, "8" * 1_000_000)
    assert not is_accepted_text(f"{'0' * 399}x " * 1000, f"{'1' * 399}x " * 1000)
    assert time.process_time() - began < 20


def test_rules() -> None:
    assert is_accepted_text("YES\n0.50004", "yes\n0.5", case_insensitive=True, float_tolerance=1e-4)
    assert not is_accepted_text("YES\n0.5004", "yes\n0.5", case_insensitive=True, float_tolerance=1e-4)
    assert not is_accepted_text("4", "3", float_tolerance=0.9)
    assert is_accepted_text("1000.4", "1000.0", float_tolerance=1e-3) and not is_accepted_text(
        "1002", "1000", float_tolerance=1e-3
    )
    assert is_accepted(["A", {"x": 1.04}], [{"x": 1}, "a"], any_order=True, case_insensitive=True, float_tolerance=0.1)
    assert not is_accepted(["A", {"X": 1.04}], [{"x": 1}, "a"], any_order=True, case_insensitive=True, float_tolerance=0.1)
    assert not is_accepted([4], [3], float_tolerance=0.9)


def test_whole_number_with_decimals_is_rounded() -> None:
    assert is_accepted_text("2.9999998", "3.000000")
    assert not is_accepted_text("2.9999998", "3") and not is_accepted_text("3.1", "3.000000")
    assert is_accepted_text("3", "3.0") and not is_accepted_text("50000000000000001", "50000000000000000.0")
