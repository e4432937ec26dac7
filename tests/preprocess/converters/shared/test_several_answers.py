"""Statements that accept several answers."""

from __future__ import annotations

from typing import Any

import pytest

from preprocess.converters.shared.several_answers import find_rules


@pytest.mark.parametrize(
    ("statement", "rules"),
    [
        ("You may return the answer in any order.", {"any_order": True}),
        ("Return all the triplets. You can return the output\nin any order.", {"any_order": True}),
        ("Visit the nodes in any order. Return the sum.", {}),
        ("Print YES or NO. You can print each letter in any case (upper or lower).", {"case_insensitive": True}),
        ("You may print every character in either case.", {"case_insensitive": True}),
        ("In any case, print the answer.", {}),
        ("Compare the words case-insensitively and print the result.", {}),
        ("Answers within 10-5 of the actual answer will be accepted.", {"float_tolerance": 1e-5}),
        ("Answers within 10<sup>-5</sup> of the actual answer are accepted.", {"float_tolerance": 1e-5}),
        ("Your answer is right if its absolute or relative error does not exceed $10^{-6}$.", {"float_tolerance": 1e-6}),
        ("The absolute or relative error should be at most 10 \u2212 9.", {"float_tolerance": 1e-9}),
        ("with a relative error of at most 1e-4", {"float_tolerance": 1e-4}),
        ("an absolute error of 0.001 is allowed", {"float_tolerance": 1e-3}),
        ("1 \u2264 n \u2264 10^5, print the sum of errors", {}),
    ],
)
def test_flags(statement: str, rules: dict[str, Any]) -> None:
    assert find_rules(statement, is_function=True) == rules


def test_order_of_printed_items_is_kept() -> None:
    assert find_rules("Output the numbers in any order.", is_function=False) == {}
