"""What ends a test, or all of them, from outside."""

from __future__ import annotations


class Gone(BaseException):
    """The candidate's process ended, or sent what is no message."""


class Unsupported(BaseException):
    """A test needs what this runner has not."""
