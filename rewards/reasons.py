"""Why a response got its score, for whoever wants to know: free where nobody listens, as in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LONGEST = 120
_LISTENER: ContextVar[list[str] | None] = ContextVar("reasons", default=None)


def explain(template: str, *values: object) -> None:
    """Tells a listener one reason: `explain("test {}: expected {}, got {}", 3, wanted, got)`.

    The values are only turned into text where somebody listens: strings as they are, anything else by its repr, cut to a
    readable length. The reason is one line of printable characters.
    """
    heard = _LISTENER.get()
    if heard is not None:
        heard.append(_clean(template.format(*map(_show, values))))


@contextmanager
def listen() -> Iterator[list[str]]:
    """The list that the reasons told within this block go to, in this thread or task and those started from it."""
    heard: list[str] = []
    token = _LISTENER.set(heard)
    try:
        yield heard
    finally:
        _LISTENER.reset(token)


def _clean(text: str) -> str:
    """What a terminal shows as it is: responses are hostile, and may hold escape sequences or what is no text."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))


def _show(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
