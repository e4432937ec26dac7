"""Text of models and users in a page: shown as text, whatever it contains."""

from __future__ import annotations

import re

# Characters that change how the text around them is shown, or that cannot be written as UTF-8: controls (line breaks and tabs
# stay), marks and overrides of the direction, invisible characters, lone surrogates.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def show(text: str, longest: int | None = None) -> str:
    r"""Return a text with its hidden characters escaped, such as `\x1b` and `\u202e`.

    Args:
        longest: Leave out the middle of a longer text; a line says how much.
    """
    if longest is not None and len(text) > longest:
        end = longest // 3
        text = f"{text[: longest - end]}\n[… {len(text) - longest:,} characters left out …]\n{text[-end:]}"
    return _HIDDEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str, longest: int = 200) -> str:
    """Return the first line of a text, shortened."""
    line = next(iter(text.strip().splitlines()), "")
    return show(line if len(line) <= longest else f"{line[: longest - 1]}…")
