"""Reasons for a score: collected where rewards are tried, evaluations scored and samples kept, else not even formatted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rewards.errors import clean

_LONGEST = 120
_MOST_BITS = 4 * _LONGEST
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}
_COLLECTED: ContextVar[list[str] | None] = ContextVar("reasons", default=None)


def explain(template: str, *values: object) -> None:
    """Record one reason: `explain("test {}: expected {}, got {}", 3, expected, found)`.

    The values are formatted only if reasons are collected: strings unchanged, others by their repr, both shortened.
    """
    collected = _COLLECTED.get()
    if collected is not None:
        collected.append(clean(template.format(*map(show, values))))


@contextmanager
def collect_reasons() -> Iterator[list[str]]:
    """Collect the reasons recorded within this block, by this thread or task and those it starts."""
    collected: list[str] = []
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)


def show(value: object) -> str:
    """Return a string unchanged, any other value as its repr, both shortened. Only what is shown is built."""
    if isinstance(value, str):
        text = value[: _LONGEST + 1]
    else:
        text, pieces = "", _write(value)
        while len(text) <= _LONGEST and (piece := next(pieces, None)) is not None:
            text += piece
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _write(value: object) -> Iterator[str]:
    """Yield the repr of a value in pieces, none of which is much longer than what is shown."""
    kind = type(value)
    if isinstance(value, str | bytes) and kind in (str, bytes):
        yield repr(value[: _LONGEST + 1])
    elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
        yield f"an integer of {value.bit_length():,} bits"
    elif isinstance(value, Collection) and kind in _BRACKETS and value:
        begin, end = _BRACKETS[kind]
        yield begin
        for number, item in enumerate(value):
            if number:
                yield ", "
            yield from _write(item)
            if isinstance(value, dict):
                yield ": "
                yield from _write(value[item])
        yield f",{end}" if kind is tuple and len(value) == 1 else end
    else:
        yield repr(value)
