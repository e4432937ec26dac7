"""Secrets in recipes and in texts: what a report, a model card or a tracker must not show."""

from __future__ import annotations

import re

HIDDEN = "(hidden)"
"""What is shown instead of a secret."""

_NAME = re.compile(r"(^|[._-])((api|access|private|secret)_?key|auth|credentials?|passw(or)?d|secret|token)$", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/\s@]+@")


def is_secret(name: str) -> bool:
    """Return whether a key of a recipe or a variable of that name holds a secret."""
    return _NAME.search(name) is not None


def hide_users(text: str, shown: str = HIDDEN) -> str:
    """Return a text without the users and passwords in its URLs.

    Args:
        text: The text.
        shown: What is shown instead; if it is empty, nothing.
    """
    return _USER.sub(f"{shown}@" if shown else "", text)
