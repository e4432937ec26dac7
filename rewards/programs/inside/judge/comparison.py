"""Compare the output or the return value of a program with the expected one, like the common graders.

The rules are those of `testing_util` in APPS and PRIME (as in verl 0.9.1) and in LiveCodeBench: whitespace at the ends of
lines and empty lines are ignored, numbers are compared by value, and tuples equal lists, because JSON has no tuples. Whole
numbers must be exact, as in LiveCodeBench (PRIME's `allclose` accepts 50000000000000001 for 50000000000000000), and values
are never compared as sets.
"""

from __future__ import annotations

import re
from typing import Any

RELATIVE, ABSOLUTE = 1e-5, 1e-8
"""Tolerance for non-integers in texts: that of `numpy.allclose`, which PRIME uses."""
_WHOLE_RELATIVE = 1e-9
"""The same if the expected number is whole: 999999999.5 is not 1000000000."""
_CLOSE = 1e-6
# Each matches, or fails, in linear time.
_WHOLE = re.compile(r"([+-]?)(\d+)(?:\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_LONGEST_NUMBER = 400
_MOST_UNORDERED = 2000


def is_accepted_text(output: str, expected: str, any_order: bool = False) -> bool:
    """Compare a program's output with the expected text, with `any_order` regardless of the order of lines."""
    output, expected = output.strip(), expected.strip()
    if output == expected:
        return True
    lines, expected_lines = (list(filter(None, map(str.strip, text.split("\n")))) for text in (output, expected))
    if len(lines) != len(expected_lines):
        return False
    if any_order:
        return _is_permutation(lines, expected_lines, _is_same_line)
    return all(map(_is_same_line, lines, expected_lines))


def is_accepted(value: Any, expected: Any, any_order: bool = False) -> bool:
    """Compare a returned value with the expected one: floats to a millionth, tuples like lists.

    With `any_order`, the order of the items in the outermost list does not matter.
    """
    if isinstance(value, (list, tuple)) and isinstance(expected, (list, tuple)):
        if len(value) != len(expected):
            return False
        if any_order:
            return _is_permutation(list(value), list(expected), is_accepted)
        return all(map(is_accepted, value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(is_accepted(value[key], expected[key]) for key in expected)
    if isinstance(value, float) or isinstance(expected, float):
        numbers = isinstance(value, (int, float)) and isinstance(expected, (int, float))
        return numbers and (value == expected or _is_close(value, expected, _CLOSE, _CLOSE))
    return bool(value == expected)


def _is_same_line(got: str, expected: str) -> bool:
    words, expected_words = got.split(), expected.split()
    return got == expected or (len(words) == len(expected_words) and all(map(_is_same_word, words, expected_words)))


def _is_same_word(got: str, expected: str) -> bool:
    if got == expected:
        return True
    if max(len(got), len(expected)) > _LONGEST_NUMBER:
        return False
    whole, expected_whole = _WHOLE.fullmatch(got), _WHOLE.fullmatch(expected)
    if whole and expected_whole:  # exact: a float could not hold every integer
        digits, same_sign = whole[2].lstrip("0"), (whole[1] == "-") == (expected_whole[1] == "-")
        return digits == expected_whole[2].lstrip("0") and (same_sign or not digits)
    if not (_NUMBER.fullmatch(got) and _NUMBER.fullmatch(expected)):
        return False
    relative = _WHOLE_RELATIVE if expected_whole else RELATIVE
    return _is_close(float(got), float(expected), relative, ABSOLUTE)


def _is_close(value: float, expected: float, relative: float, absolute: float) -> bool:
    try:
        # Reject an infinite bound, which would accept everything. NaN is never close.
        return abs(value - expected) <= absolute + relative * abs(expected) < float("inf")
    except OverflowError:
        return False


def _is_permutation(values: list[Any], expected: list[Any], is_same: Any) -> bool:
    try:
        if all(map(is_same, sorted(values), sorted(expected))):
            return True
    except TypeError:  # not sortable
        pass
    if len(values) > _MOST_UNORDERED:
        return False
    rest = list(expected)
    for value in values:
        for number, candidate in enumerate(rest):
            if is_same(value, candidate):
                del rest[number]
                break
        else:
            return False
    return True
