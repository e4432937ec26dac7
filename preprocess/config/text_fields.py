"""Types of text fields that are not any text: paths, hub names, revisions, URLs."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

from pydantic import AfterValidator

_LONGEST_NAME = 255
# Characters that no name has on purpose: control characters, separators, and those that show nothing or turn the text around.
_ODD = ("Cc", "Zl", "Zp")
_INVISIBLE = "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_REVISION = re.compile(r"[A-Za-z0-9_][\w.+/@-]*", re.ASCII)


def find_odd_character(text: str) -> str:
    """Return the description of a character that a name cannot have, or an empty text."""
    for char in text:
        if char in _INVISIBLE or unicodedata.category(char) in _ODD:
            return f"the character U+{ord(char):04X} ({unicodedata.name(char, 'a control character').lower()})"
    return ""


def _check_path(text: str) -> str:
    if odd := find_odd_character(text):
        raise ValueError(f"found {text!r}, which has {odd}")
    if not text.rstrip("/").rpartition("/")[2].strip() and text.strip("/"):
        raise ValueError(f"found {text!r}, expected a name")
    if len(text) > 4096 or any(len(part.encode(errors="replace")) > _LONGEST_NAME for part in text.split("/")):
        raise ValueError(f"found a name of {len(text)} characters, expected at most {_LONGEST_NAME} between two slashes")
    return text


def _check_revision(text: str) -> str:
    if not _REVISION.fullmatch(text) or ".." in text:
        raise ValueError(f"found {text!r}, expected a branch, tag or commit, such as main or v1.0")
    return text


def check_url(text: str, example: str, secret: str = "") -> str:
    """Return the URL of a server.

    Args:
        text: The URL.
        example: A valid one, for the error.
        secret: Where a password goes instead.

    Raises:
        ValueError: It is no such URL, or has a password.
    """
    expected = f"expected {example}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"found {text!r}, {expected}") from None
    if "@" in parts.netloc:
        # The recipe is kept in the run directory. The message does not repeat the secret.
        raise ValueError(f"found a URL with a password; {secret or f'{expected}, without it'}")
    odd = bool(re.search(r"\s", text)) or not text.isascii() or port == 0
    if odd or parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.:-]+", parts.hostname or "", re.ASCII):
        raise ValueError(f"found {text!r}, {expected}")
    if parts.query or parts.fragment:
        raise ValueError(f"found {text!r}, which has a query or a fragment; {expected}")
    return text


def is_url(example: str, secret: str = "") -> AfterValidator:
    """Return the validator of a field with a URL; the arguments are those of `check_url`."""
    return AfterValidator(lambda text: check_url(text, example, secret))


def _check_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"found {text!r}, which has the character U+0000")
    return text


HasNoNul = AfterValidator(_check_nul)
"""Refuses texts that no argument of a program can be."""

IsPath = AfterValidator(_check_path)
"""Refuses texts that no file or folder can be called."""

IsRevision = AfterValidator(_check_revision)
"""Refuses texts that no branch, tag or commit can be called."""
