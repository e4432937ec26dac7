"""`pytest.raises`, `pytest.skip`, `pytest.fail` and `pytest.approx`."""

from __future__ import annotations

import math
import re
from typing import Any

from rewards.programs.inside.isolated_tests.peer import Gone
from rewards.programs.inside.isolated_tests.remote import Remote


def raises(expected: Any, *args: Any, match: Any = None, **kwargs: Any) -> Any:
    for each in expected if isinstance(expected, tuple) else (expected,):
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(f"{each!r} is not an exception class")
    info = ExceptionInfo(expected, match)
    if args:
        with info:
            args[0](*args[1:], **kwargs)
    return info


class ExceptionInfo:
    """The context of `raises`, with the exception that it caught."""

    def __init__(self, expected: Any, pattern: Any) -> None:
        self.expected, self.pattern, self.value = expected, pattern, None

    def __enter__(self) -> ExceptionInfo:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        assert kind is not None, f"did not raise {self.expected}"
        if not issubclass(kind, self.expected) or issubclass(kind, Gone):
            return False
        self.value = error
        assert self.pattern is None or re.search(self.pattern, str(error)), "the message does not match"
        return True

    @property
    def type(self) -> Any:
        return type(self.value)

    @property
    def typename(self) -> str:
        return type(self.value).__name__

    def match(self, pattern: str) -> bool:
        assert re.search(pattern, str(self.value))
        return True

    def exconly(self, tryshort: bool = False) -> str:
        return f"{type(self.value).__name__}: {self.value}"

    def errisinstance(self, kinds: Any) -> bool:
        return isinstance(self.value, kinds)


class Skipped(BaseException):
    """The test called `pytest.skip`. It counts as not passed."""


def skip(reason: str = "", **_: Any) -> None:
    raise Skipped(reason)


def fail(reason: str = "", **_: Any) -> None:
    raise AssertionError(reason)


class approx:  # noqa: N801 (pytest's name)
    """Approximately equal numbers, also in lists, tuples and dicts."""

    __array_ufunc__ = None

    def __init__(self, expected: Any, rel: Any = None, abs: Any = None, nan_ok: bool = False) -> None:  # noqa: A002
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok

    def __repr__(self) -> str:
        return f"approx({self.expected!r})"

    def __eq__(self, actual: object) -> bool:
        return self._is_near(actual, self.expected)

    __hash__ = None  # type: ignore[assignment]

    def _is_near(self, actual: Any, expected: Any) -> bool:
        if type(actual) is Remote and actual._remote_kind:
            actual = actual._remote_plain()
        if isinstance(expected, dict):
            return (
                type(actual).__name__ in ("dict", "OrderedDict", "defaultdict", "Counter")
                and actual.keys() == expected.keys()
                and all(self._is_near(actual[key], expected[key]) for key in expected)
            )
        if isinstance(expected, (list, tuple)):
            is_sequence = type(actual) in (list, tuple)
            return is_sequence and len(actual) == len(expected) and all(map(self._is_near, actual, expected))
        # Compute with plain numbers only: a class of the program could return anything.
        if type(actual).__name__ not in ("int", "float", "bool", "complex", "Decimal", "Fraction"):
            return actual is None and expected is None
        if type(expected) in (str, bool, type(None)) or expected == actual:
            return bool(expected == actual)
        if expected != expected:
            return self.nan_ok and actual != actual
        if type(expected) is float and math.isinf(expected):
            return False
        tolerance = max(
            (1e-6 if self.rel is None else self.rel) * abs(expected) if self.rel is not None or self.abs is None else 0,
            1e-12 if self.abs is None else self.abs,
        )
        return bool(abs(float(actual) - float(expected) if type(actual) is not complex else actual - expected) <= tolerance)
