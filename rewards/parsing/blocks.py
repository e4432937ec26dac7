"""Read the fenced code blocks of a Markdown text as CommonMark 0.31 (section 4.5) does, and write one."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ITEM = re.compile(r" *(?:[-*+]|\d{1,9}[.)]) +")
_LANGUAGE = re.compile(r"[{.]*([\w+#-]*)")
_TICKS = re.compile(r"^ {0,3}(`{3,})", re.MULTILINE)
_PYTHON = re.compile(r"i?py(thon)?[\d.-]*")
_MOST_INDENT = 3
"""Spaces before a fence. With more, the line is indented code."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    language: str
    """First word of its info string, in lower case."""
    text: str
    """Its lines, without the indentation of the opening fence."""

    @property
    def is_python(self) -> bool:
        """Whether the info string names Python."""
        return _PYTHON.fullmatch(self.language) is not None


def read_blocks(text: str) -> list[Block]:
    r"""Return the fenced blocks of a text whose lines end with `\n`; a block without a closing fence ends with the text."""
    blocks: list[Block] = []
    language, fence, indent, lines, item = "", "", 0, list[str](), 0
    for line in text.split("\n"):
        bare = line.lstrip(" ")
        margin = len(line) - len(bare)
        if fence:
            if margin <= max(_MOST_INDENT, indent) and _is_closing(bare, fence):
                blocks.append(Block(language, "".join(f"{each}\n" for each in lines)))
                fence, lines = "", []
            else:
                lines.append(line[min(margin, indent) :])
            continue
        if match := _ITEM.match(line):
            item = margin = match.end()
            bare = line[margin:]
        elif bare and margin < item:
            item = 0
        if bare.startswith(("```", "~~~")) and (margin <= _MOST_INDENT or item <= margin <= item + _MOST_INDENT):
            info = bare.lstrip(bare[0])
            if bare[0] == "~" or "`" not in info:
                fence, indent = bare[: len(bare) - len(info)], margin
                found = _LANGUAGE.match(info.strip())
                language = found[1].lower() if found else ""
    if fence:
        blocks.append(Block(language, "\n".join(lines)))
    return blocks


def write_block(code: str) -> str:
    """Return a Python block, with more ticks than any fence in the code."""
    ticks = "`" * (1 + max([2, *(len(each[1]) for each in _TICKS.finditer(code))]))
    return f"{ticks}python\n{code.rstrip()}\n{ticks}"


def _is_closing(bare: str, fence: str) -> bool:
    marks = bare.rstrip(" \t")
    return marks.startswith(fence) and not marks.strip(fence[0])
