"""Reasons for a score, collected when a reward is tried and skipped at no cost in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rewards.errors import clean

_LONGEST = 120
_COLLECTED: ContextVar[list[str] | None] = ContextVar("reasons", default=None)


def explain(template: str, *values: object) -> None:
    """Record one reason: `explain("test {}: expected {}, got {}", 3, expected, found)`.

    The values are formatted only if reasons are collected: strings unchanged, others by their repr, both shortened.
    """
    collected = _COLLECTED.get()
    if collected is not None:
        collected.append(clean(template.format(*map(_show, values))))


@contextmanager
def collect_reasons() -> Iterator[list[str]]:
    """Collect the reasons recorded within this block, by this thread or task and those it starts."""
    collected: list[str] = []
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)


def _show(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
