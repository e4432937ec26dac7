"""`pytest.skip` and `pytest.fail`."""

from __future__ import annotations

from typing import Any


class Skipped(BaseException):
    """The test called `pytest.skip`. It counts as not passed."""


def skip(reason: str = "", **_: Any) -> None:
    """End a test as skipped."""
    raise Skipped(reason)


def fail(reason: str = "", **_: Any) -> None:
    """End a test as failed."""
    raise AssertionError(reason)
