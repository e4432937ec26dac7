"""Whether what a program wrote or returned is what was expected, as the graders of the field take it.

Read in APPS' and PRIME's `testing_util` (as verl 0.9.1 ships it) and LiveCodeBench's: space at the ends of lines and empty
lines do not count, numbers count by their value, tuples as the lists that JSON makes of them. Whole numbers must be exact
(LiveCodeBench; PRIME's `allclose` takes 50000000000000001 for 50000000000000000), and nothing is ever compared as a set.
"""

from __future__ import annotations

import re
from typing import Any

RELATIVE, ABSOLUTE = 1e-5, 1e-8
"""How far a number that is not whole may be off in a text: `numpy.allclose`, which PRIME uses."""
_WHOLE_RELATIVE = 1e-9
"""The same where the expected number is whole: 999999999.5 is not a thousand million."""
_CLOSE = 1e-6
_WHOLE = re.compile(r"([+-]?)0*(\d+)(?:\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_LONGEST_NUMBER = 400
_MOST_UNORDERED = 2000


def is_accepted_text(output: str, expected: str, any_order: bool = False) -> bool:
    """Whether a program's output is the expected one; with `any_order`, its lines may come in any."""
    got, wanted = output.strip(), expected.strip()
    if got == wanted:
        return True
    lines, wanted_lines = _take_lines(got), _take_lines(wanted)
    if len(lines) != len(wanted_lines):
        return False
    if any_order:
        return _is_permutation(lines, wanted_lines, _is_same_line)
    return all(map(_is_same_line, lines, wanted_lines))


def is_accepted(value: Any, expected: Any, any_order: bool = False) -> bool:
    """Whether a returned value is the expected one: floats to a millionth, tuples and lists alike.

    With `any_order`, the items of the outermost list may come in any.
    """
    if isinstance(value, list | tuple) and isinstance(expected, list | tuple):
        if len(value) != len(expected):
            return False
        if any_order:
            return _is_permutation(list(value), list(expected), is_accepted)
        return all(map(is_accepted, value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(is_accepted(value[key], expected[key]) for key in expected)
    if isinstance(value, float) or isinstance(expected, float):
        numbers = isinstance(value, int | float) and isinstance(expected, int | float)
        return numbers and (value == expected or _is_close(value, expected, _CLOSE, _CLOSE))
    return bool(value == expected)


def _take_lines(text: str) -> list[str]:
    return [stripped for line in text.split("\n") if (stripped := line.strip())]


def _is_same_line(got: str, expected: str) -> bool:
    if got == expected:
        return True
    words, wanted = got.split(), expected.split()
    return len(words) == len(wanted) and all(map(_is_same_word, words, wanted))


def _is_same_word(got: str, expected: str) -> bool:
    if got == expected:
        return True
    if max(len(got), len(expected)) > _LONGEST_NUMBER:
        return False
    whole, wanted = _WHOLE.fullmatch(got), _WHOLE.fullmatch(expected)
    if whole and wanted:  # exact, and never through a float
        return whole[2] == wanted[2] and (whole[1] == wanted[1] or {whole[1], wanted[1]} == {"", "+"} or whole[2] == "0")
    if not (_NUMBER.fullmatch(got) and _NUMBER.fullmatch(expected)):
        return False
    relative = _WHOLE_RELATIVE if wanted else RELATIVE
    return _is_close(float(got), float(expected), relative, ABSOLUTE)


def _is_close(value: float, expected: float, relative: float, absolute: float) -> bool:
    try:
        # An infinite bound would take everything; nan is near to nothing.
        return abs(value - expected) <= absolute + relative * abs(expected) < float("inf")
    except OverflowError:
        return False


def _is_permutation(values: list[Any], expected: list[Any], is_same: Any) -> bool:
    try:
        if all(map(is_same, sorted(values), sorted(expected))):
            return True
    except TypeError:  # not to be sorted
        pass
    if len(values) > _MOST_UNORDERED:
        return False
    rest = list(expected)
    for value in values:
        for number, wanted in enumerate(rest):
            if is_same(value, wanted):
                del rest[number]
                break
        else:
            return False
    return True
