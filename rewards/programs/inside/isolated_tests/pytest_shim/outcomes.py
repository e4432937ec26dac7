"""Ways for a test to end, other than by its last line."""

from __future__ import annotations

from typing import Any


class Skipped(BaseException):
    """A test was skipped: it does not hold, for nothing was shown."""


Exit = Skipped


def skip(reason: str = "", **_: Any) -> None:
    """Ends a test as skipped."""
    raise Skipped(reason)


def fail(reason: str = "", **_: Any) -> None:
    """Ends a test as failed."""
    raise AssertionError(reason)
