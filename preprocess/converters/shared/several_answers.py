"""Find in a problem's statement which other answers than the expected one are right."""

from __future__ import annotations

import re
from typing import Any

_ANY_ORDER = re.compile(
    r"\b(?:return|output)\b[^.]*\bin any order\b"
    r"|\border of (?:the )?(?:output|answer|result)s? does(?: not|n't) matter"
)
_ANY_CASE = re.compile(
    r"\b(?:print|output|answer)[^.]*\b(?:letter|character)s?\b[^.]*\b(?:any|arbitrary|either) (?:case|register)\b"
    r"|\b(?:letter|character)s?\b[^.]*\b(?:any|arbitrary|either) case \((?:upper|lower)"
    r"|\b(?:output|answer|verdict)s? (?:is|are|will be)[^.]*\bcase[- ]insensitive"
)
_ERROR = re.compile(
    r"\b(?:absolute|relative) (?:(?:or|and) (?:absolute|relative) )?error\b"
    r"|\bof the actual (?:answer|value)\b"
)
_POWER = re.compile(r"\b(?:10\s*(?:\^|\*\*|<sup>)?\s*\{?\s*-\s*(\d{1,2})\b|1?e-(\d{1,2})\b|0\.(0*)1\b)")
_NEAR = 160
"""Characters around the words about an error in which its size is expected."""


def find_rules(statement: str, is_function: bool) -> dict[str, Any]:
    """Return the flags of the code_tests reward that a statement asks for.

    Args:
        statement: The problem.
        is_function: Whether the tests are calls of a function. Only then, `in any order` means the items of a list: printed
            items may be on one line.
    """
    text = re.sub(r"\s+", " ", statement.lower().translate({0x2212: "-", 0x2013: "-", ord("$"): None, ord("\\"): None}))
    rules: dict[str, Any] = {}
    if is_function and _ANY_ORDER.search(text):
        rules["any_order"] = True
    if _ANY_CASE.search(text):
        rules["case_insensitive"] = True
    if tolerance := _find_tolerance(text):
        rules["float_tolerance"] = tolerance
    return rules


def _find_tolerance(text: str) -> float | None:
    """Return the largest error that is accepted, or None if the text has none."""
    found = []
    for about in _ERROR.finditer(text):
        for size in _POWER.finditer(text, max(0, about.start() - _NEAR), about.end() + _NEAR):
            power, exponent, zeros = size.groups()
            digits = int(power or exponent or 0) or len(zeros or "") + 1
            found.append(10.0**-digits)
    return max(found, default=None)
