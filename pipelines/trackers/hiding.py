"""Keep secrets out of what is printed and written."""

from __future__ import annotations

import os
import re
from typing import IO

HIDDEN = "(hidden)"

_NAME = re.compile(r"(^|[._-])(api_?key|access_?key|auth|credentials?|passw(or)?d|secret|token)$", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/\s@]+@")
_SHORTEST = 6
"""Characters of a value that is looked for in texts."""


def is_secret(name: str) -> bool:
    """Return whether a setting or a variable of that name holds a secret."""
    return _NAME.search(name) is not None


def hide_secrets(text: str) -> str:
    """Return a text without users and passwords of URLs, and without the values of this process's secret variables."""
    values = {value for name, value in os.environ.items() if is_secret(name) and len(value) >= _SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return _USER.sub(f"{HIDDEN}@", text)


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
