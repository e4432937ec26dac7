"""Write EvalPlus' comparison of an answer's value with that of the published solution as assertions.

Values are equal, or floats within the tolerance: `atol + 1e-7 * |expected|`, with at least 1e-6 as `atol`. Some problems of
MBPP accept more (`evalplus/eval/_special_oracle.py` of EvalPlus 0.3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from preprocess.converters.evalplus.literals import write

_RELATIVE, _LEAST_ABSOLUTE = 1e-7, 1e-6

_IS_CLOSE = """
def is_close(got, expected, tolerance):
    if isinstance(expected, (list, tuple)):
        return len(got) == len(expected) and all(is_close(a, b, tolerance) for a, b in zip(got, expected))
    return abs(got - expected) <= tolerance + 1e-07 * abs(expected)

def is_same(got, expected, tolerance):
    return got == expected or (type(got) is type(expected) and is_close(got, expected, tolerance))
"""
_IS_ROOT = """
def is_root(coefficients, x, tolerance):
    return abs(sum(each * x ** power for power, each in enumerate(coefficients))) <= tolerance
"""
_IS_GIVEN = """
def is_given(got, expected):
    return got == expected if isinstance(got, bool) else (got is not None) == expected
"""
_IS_ANY = """
def is_any(got):
    return True
"""

PRESENCE = ("check_str", "text_match_three", "text_starta_endb")
"""Functions of MBPP whose values only count as something or None."""

Compare = Callable[[str, Sequence[Any], Any], str]
"""Returns the condition on the source of a call, given its arguments and the expected value."""


def write_check(family: str, function: str, cases: Sequence[tuple[Sequence[Any], Any]], tolerance: float) -> str:
    """Return source that defines `check(candidate)` and calls it, as the reward code_tests reads it.

    Args:
        family: `HumanEval` or `Mbpp`.
        function: The function under test.
        cases: The arguments of each call, and what the published solution returns.
        tolerance: The problem's `atol`.

    Raises:
        RowError: A value has no literal.
    """
    helper, compare = _find_oracle(family, function, tolerance)
    lines = []
    for given, value in cases:
        call = f"candidate({', '.join(map(write, given))})"
        lines.append(f"    assert {compare(call, given, value)}")
    check = "\n".join(["def check(candidate):", *lines])
    helpers = [source.strip() for source in (helper, _IS_CLOSE) if source and any(_call(source) in line for line in lines)]
    return "\n\n".join([*helpers, check, f"check({function})"])


def _call(helper: str) -> str:
    """Return the text with which a line calls the last function of a helper."""
    return helper.rpartition("def ")[2].partition("(")[0] + "("


def _find_oracle(family: str, function: str, tolerance: float) -> tuple[str, Compare]:
    """Return a helper and how the values of a function are compared."""
    if (family, function) == ("HumanEval", "find_zero"):
        return _IS_ROOT, lambda call, given, value: f"is_root({write(given[0])}, {call}, {tolerance!r})"
    if family == "Mbpp" and function in _ORACLES:
        return _ORACLES[function]
    return "", lambda call, given, value: _compare(call, value, tolerance)


def _compare(call: str, value: Any, tolerance: float) -> str:
    """Return the usual comparison. Those of single numbers do not need a process for the tests."""
    if isinstance(value, float) and math.isfinite(value):
        bound = (tolerance or _LEAST_ABSOLUTE) + _RELATIVE * abs(value)
        return f"abs({call} - {write(value)}) <= {bound!r}"
    if isinstance(value, list | tuple) and value and (tolerance or all(isinstance(each, float) for each in value)):
        return f"is_same({call}, {write(value)}, {tolerance or _LEAST_ABSOLUTE!r})"
    return f"{call} == {write(value)}"


def _either(find_other: Callable[..., Any]) -> Compare:
    """Return the comparison with the expected value or another one, which depends on the arguments."""
    return lambda call, given, value: f"{call} in ({write(value)}, {write(find_other(*given))})"


def _surface_area(base: float, height: float) -> int:
    """Read the height of a pyramid as that of its apex, not as the slant height."""
    return round(base**2 + 2 * base * math.sqrt((base / 2) ** 2 + height**2))


def _digit_distance(a: int, b: int) -> int:
    """Compare digit by digit instead of adding the digits of the difference."""
    length = max(len(str(a)), len(str(b)))
    return sum(abs(int(x) - int(y)) for x, y in zip(str(a).zfill(length), str(b).zfill(length), strict=True))


def _compare_as_sets(call: str, given: Sequence[Any], value: Any) -> str:
    return f"set({call}) == {write(set(value))}"


def _compare_presence(call: str, given: Sequence[Any], value: Any) -> str:
    return f"is_given({call}, {value})"


_AS_SETS = (
    "similar_elements",
    "find_char_long",
    "common_in_nested_lists",
    "extract_singly",
    "larg_nnum",
    "intersection_array",
    "find_dissimilar",
    "Diff",
)
_ORACLES: dict[str, tuple[str, Compare]] = {
    **dict.fromkeys(_AS_SETS, ("", _compare_as_sets)),
    **dict.fromkeys(PRESENCE, (_IS_GIVEN, _compare_presence)),
    "are_equivalent": (_IS_ANY, lambda call, given, value: f"is_any({call})"),
    "sum_div": ("", _either(lambda *_: 0)),
    "surface_Area": ("", _either(_surface_area)),
    "digit_distance_nums": ("", _either(_digit_distance)),
}
