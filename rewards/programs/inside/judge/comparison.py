"""Compare the output or the return value of a program with the expected one, like the common graders.

The rules are those of `testing_util` in APPS and PRIME (as in verl 0.9.1) and in LiveCodeBench: whitespace at the ends of
lines and empty lines are ignored, numbers are compared by value, and tuples equal lists, because JSON has no tuples. Whole
numbers must be exact, as in LiveCodeBench (PRIME's `allclose` accepts 50000000000000001 for 50000000000000000), and values
are never compared as sets. A row may relax them with `Rules`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

RELATIVE, ABSOLUTE = 1e-5, 1e-8
"""Tolerance for non-integers in texts: that of `numpy.allclose`, which PRIME uses."""
_WHOLE_RELATIVE = 1e-9
"""The same if the expected number is an integer: 999999999.5 is not 1000000000."""
_CLOSE = 1e-6
# Each matches, or fails, in linear time.
_WHOLE = re.compile(r"([+-]?)(\d+)(?:\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+\.?", re.ASCII)
_LONGEST_NUMBER = 400
_MOST_UNORDERED = 2000


class Rules(NamedTuple):
    """What else a row accepts."""

    any_order: bool = False
    """The order of lines, or of the items of the outermost list, does not matter."""
    case_insensitive: bool = False
    """Upper and lower case are the same."""
    float_tolerance: float = 0.0
    """Accepted absolute or relative error of a number that is not an integer, in addition to the usual one."""

    def describe(self) -> str:
        """Return the rules for messages."""
        words = ["in any order" if self.any_order else "", "in any case" if self.case_insensitive else ""]
        words.append(f"with an error of at most {self.float_tolerance:g}" if self.float_tolerance else "")
        return ", ".join(filter(None, words))


NO_RULES = Rules()


def is_accepted_text(
    output: str, expected: str, any_order: bool = False, case_insensitive: bool = False, float_tolerance: float = 0.0
) -> bool:
    """Compare a program's output with the expected text, by the fields of `Rules`."""
    if case_insensitive:
        output, expected = output.casefold(), expected.casefold()
    output, expected = output.strip(), expected.strip()
    if output == expected:
        return True
    lines, expected_lines = (list(filter(None, map(str.strip, text.split("\n")))) for text in (output, expected))
    if len(lines) != len(expected_lines):
        return False

    def is_same_line(got: str, wanted: str) -> bool:
        return _is_same_line(got, wanted, float_tolerance)

    if any_order:
        return _is_permutation(lines, expected_lines, is_same_line)
    return all(map(is_same_line, lines, expected_lines))


def is_accepted(
    value: Any, expected: Any, any_order: bool = False, case_insensitive: bool = False, float_tolerance: float = 0.0
) -> bool:
    """Compare a returned value with the expected one, by the fields of `Rules`: floats to a millionth, tuples like lists."""
    inner = Rules(False, case_insensitive, float_tolerance)
    if isinstance(value, (list, tuple)) and isinstance(expected, (list, tuple)):
        if len(value) != len(expected):
            return False
        if any_order:
            return _is_permutation(list(value), list(expected), lambda a, b: is_accepted(a, b, *inner))
        return all(map(lambda a, b: is_accepted(a, b, *inner), value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(is_accepted(value[key], expected[key], *inner) for key in expected)
    if isinstance(value, float) or isinstance(expected, float):
        numbers = isinstance(value, (int, float)) and isinstance(expected, (int, float))
        bound = max(_CLOSE, float_tolerance)
        return numbers and (value == expected or _is_close(value, expected, bound, bound))
    if case_insensitive and isinstance(value, str) and isinstance(expected, str):
        return value.casefold() == expected.casefold()
    return bool(value == expected)


def _is_same_line(got: str, expected: str, tolerance: float) -> bool:
    words, expected_words = got.split(), expected.split()
    if got == expected:
        return True
    same_length = len(words) == len(expected_words)
    return same_length and all(map(lambda a, b: _is_same_word(a, b, tolerance), words, expected_words))


def _is_same_word(got: str, expected: str, tolerance: float) -> bool:
    if got == expected:
        return True
    if max(len(got), len(expected)) > _LONGEST_NUMBER:
        return False
    whole, expected_whole = _WHOLE.fullmatch(got), _WHOLE.fullmatch(expected)
    is_integer = _INTEGER.fullmatch(expected) is not None
    if whole and expected_whole and (is_integer or not tolerance):  # exact: a float could not hold every integer
        digits, same_sign = whole[2].lstrip("0"), (whole[1] == "-") == (expected_whole[1] == "-")
        return digits == expected_whole[2].lstrip("0") and (same_sign or not digits)
    if not (_NUMBER.fullmatch(got) and _NUMBER.fullmatch(expected)):
        return False
    value, wanted = float(got), float(expected)
    # A whole number written as 3.000000 is the rounded result of a computation.
    usual = _is_close(value, wanted, _WHOLE_RELATIVE if is_integer else RELATIVE, ABSOLUTE)
    return usual or (tolerance > 0 and _is_close(value, wanted, tolerance, tolerance))


def _is_close(value: float, expected: float, relative: float, absolute: float) -> bool:
    try:
        # Reject an infinite bound, which would accept everything. NaN is never close.
        return abs(value - expected) <= absolute + relative * abs(expected) < float("inf")
    except OverflowError:
        return False


def _is_permutation(values: list[Any], expected: list[Any], is_same: Callable[[Any, Any], bool]) -> bool:
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
