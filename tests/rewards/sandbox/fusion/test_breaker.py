"""When programs are refused because the service is dead."""

from __future__ import annotations

import pytest

from rewards.sandbox import SandboxUnavailableError
from rewards.sandbox.fusion import breaker as module
from rewards.sandbox.fusion.breaker import Breaker


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        """Return the time that was set."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def _is_admitted(breaker: Breaker) -> bool:
    try:
        with breaker.admit():
            return True
    except SandboxUnavailableError:
        return False


def test_one_silence_is_not_enough(clock: Clock) -> None:
    breaker = Breaker(10)
    breaker.note_silence(clock.now, "no")
    assert _is_admitted(breaker)
    breaker.note_silence(clock.now, "still no")
    with pytest.raises(SandboxUnavailableError, match="did not answer the last 2 programs: still no"), breaker.admit():
        pass


def test_answer_to_another_program_counts(clock: Clock) -> None:
    breaker = Breaker(10)
    for _ in range(5):
        begun = clock.now
        clock.now += 1
        breaker.note_answer()
        clock.now += 1
        breaker.note_silence(begun, "no")
    assert all(_is_admitted(breaker) for _ in range(3))


def test_one_program_at_a_time_tries_a_dead_service(clock: Clock) -> None:
    breaker = Breaker(10)
    for _ in range(2):
        assert _is_admitted(breaker)
        breaker.note_silence(clock.now, "no")
    assert not _is_admitted(breaker)
    clock.now += 11
    with breaker.admit():
        clock.now += 100
        assert not _is_admitted(breaker)
    assert not _is_admitted(breaker)
    clock.now += 11
    assert _is_admitted(breaker)
    assert not _is_admitted(breaker)


def test_answer_ends_the_refusal(clock: Clock) -> None:
    breaker = Breaker(10)
    assert not breaker.has_answered
    for _ in range(2):
        breaker.note_silence(clock.now, "no")
    with breaker.admit():
        breaker.note_answer()
    assert breaker.has_answered
    assert all(_is_admitted(breaker) for _ in range(3))
