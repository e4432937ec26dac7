"""`pytest.raises` and what it catches."""

from __future__ import annotations

import re
from typing import Any

from rewards.programs.inside.isolated_tests.errors import Gone


def raises(expected: Any, *args: Any, match: Any = None, **kwargs: Any) -> Any:
    """Asserts that an exception of the class, or one of the classes, is raised."""
    for each in expected if isinstance(expected, tuple) else (expected,):
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(f"{each!r} is no exception class")
    if not args:
        return Raises(expected, match)
    held = Raises(expected, match)
    with held as info:
        args[0](*args[1:], **kwargs)
    return info


class ExceptionInfo:
    """What `raises` caught."""

    def __init__(self) -> None:
        self.value: Any = None

    @property
    def type(self) -> Any:
        """Its class."""
        return type(self.value)

    @property
    def typename(self) -> str:
        """Its class's name."""
        return type(self.value).__name__

    def match(self, pattern: str) -> bool:
        """Asserts that the message holds the pattern."""
        assert re.search(pattern, str(self.value))
        return True

    def exconly(self, tryshort: bool = False) -> str:
        """Class and message."""
        return f"{type(self.value).__name__}: {self.value}"

    def errisinstance(self, kinds: Any) -> bool:
        """Whether it is of a class."""
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
