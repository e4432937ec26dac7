"""Texts of others in Markdown: shown as they are, whatever they contain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pipelines.console.tables import escape_controls

_SPECIAL = re.compile(r"([\\`*\[\]|~<>&$]|(?<!\w)_|_(?!\w))")
_LONGEST = 200


def escape(text: str, longest: int = _LONGEST) -> str:
    """Return a text as one line of Markdown that shows it; a long one is cut."""
    shown = escape_controls(text)
    return _SPECIAL.sub(r"\\\1", shown if len(shown) <= longest else shown[: longest - 1] + "…").replace("://", "&#58;//")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are escaped already."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def fenced(text: str, language: str) -> str:
    """Return a block of code, whatever fences the text contains."""
    shown = escape_controls(text, keep="\n")
    longest = max((len(found) for found in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown.rstrip()}\n{fence}\n"
