"""Keep secrets out of what is printed and written."""

from __future__ import annotations

import os
from typing import IO

from pipelines.recipe.secrets import HIDDEN, hide_users, is_secret

_SHORTEST = 6
"""Characters of a value that is looked for in texts."""


def hide_secrets(text: str) -> str:
    """Return a text without users and passwords of URLs, and without the values of this process's secret variables."""
    values = {value for name, value in os.environ.items() if is_secret(name) and len(value) >= _SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return hide_users(text)


class HidingStream:
    """A text stream that hides secrets: what the libraries of trackers print goes to a log.

    Args:
        stream: Where the text goes.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text without its secrets."""
        self._stream.write(hide_secrets(text))
        self._stream.flush()
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
