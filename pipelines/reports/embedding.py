"""Values as JSON in a `script` element."""

from __future__ import annotations

from typing import Any

import msgspec

_ESCAPES = {b"<": b"\\u003c", b">": b"\\u003e", b"&": b"\\u0026", "\u2028".encode(): b"\\u2028", "\u2029".encode(): b"\\u2029"}
"""What would end a script element or a line of JavaScript -> the same in JSON."""


def to_script_json(value: Any) -> bytes:
    """Return a value as JSON that no text in it can end before its end."""
    data = msgspec.json.encode(value)
    for found, written in _ESCAPES.items():
        data = data.replace(found, written)
    return data
