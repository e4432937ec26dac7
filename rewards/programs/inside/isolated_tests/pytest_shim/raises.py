"""`pytest.raises`, `pytest.skip` and `pytest.fail`."""

from __future__ import annotations

import re
from typing import Any

from rewards.programs.inside.isolated_tests.errors import Gone


def raises(expected: Any, *args: Any, match: Any = None, **kwargs: Any) -> Any:
    """Assert that an exception of the given class or classes is raised."""
    for each in expected if isinstance(expected, tuple) else (expected,):
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(f"{each!r} is not an exception class")
    context = Raises(expected, match)
    if not args:
        return context
    with context as info:
        args[0](*args[1:], **kwargs)
    return info


class ExceptionInfo:
    """The exception that `raises` caught."""

    def __init__(self) -> None:
        self.value: Any = None

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


class Raises:
    def __init__(self, expected: Any, match: Any) -> None:
        self.expected, self.pattern, self.info = expected, match, ExceptionInfo()

    def __enter__(self) -> ExceptionInfo:
        return self.info

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        assert kind is not None, f"did not raise {self.expected}"
        if not issubclass(kind, self.expected) or issubclass(kind, Gone):
            return False
        self.info.value = error
        assert self.pattern is None or re.search(self.pattern, str(error)), "the message does not match"
        return True


class Skipped(BaseException):
    """The test called `pytest.skip`. It counts as not passed."""


def skip(reason: str = "", **_: Any) -> None:
    """End a test as skipped."""
    raise Skipped(reason)


def fail(reason: str = "", **_: Any) -> None:
    """End a test as failed."""
    raise AssertionError(reason)
