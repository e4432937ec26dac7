"""Whether a service is dead, so that programs are refused at once instead of waiting for it one after another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rewards.sandbox.base import SandboxUnavailableError

_ENOUGH = 2
"""Unanswered programs in a row. One alone may be the program's fault: a service may hang or crash on it."""


class Breaker:
    """Counts the programs that a service did not answer in a row, whatever was tried.

    With `_ENOUGH` of them it refuses all programs, except one each `cool_down` seconds. An answer to any program ends that.
    A program without an answer does not count if the service answered others meanwhile.
    """

    def __init__(self, cool_down: float) -> None:
        self._cool_down = cool_down
        self._unanswered = 0
        self._answered_at = float("-inf")
        self._reason = ""
        self._next_at = 0.0

    @property
    def has_answered(self) -> bool:
        """Whether the service ever answered."""
        return self._answered_at > float("-inf")

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Let one request to the service pass.

        Raises:
            SandboxUnavailableError: the service is dead.
        """
        if self._unanswered >= _ENOUGH:
            if time.monotonic() < self._next_at:
                raise SandboxUnavailableError(
                    f"not sent: the service did not answer the last {self._unanswered} programs: {self._reason}"
                )
            self._next_at = float("inf")  # no other program while this one tries
        try:
            yield
        finally:
            self._next_at = time.monotonic() + self._cool_down

    def note_answer(self) -> None:
        """Note that the service answered a program."""
        self._unanswered = 0
        self._answered_at = time.monotonic()

    def note_silence(self, since: float, reason: str) -> None:
        """Note that a program, first sent at the monotonic time `since`, got no answer, and why."""
        if self._answered_at < since:
            self._unanswered += 1
            self._reason = reason
