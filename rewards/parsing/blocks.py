r"""Read the fenced code blocks of a Markdown text, and write one.

They are read as in CommonMark 0.31 (section 4.5). Models also write what CommonMark reads differently. Where that can only be
Python, it is read as Python:

- A fence in a triple-quoted string belongs to the string.
- A fence at the end of a line of code ends the block: outside strings and comments Python has no such marks there.
- What follows the language may be code (`` ```python import sys ``), and a whole block may be one line.
- Other text may precede a Python fence on its line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rewards.parsing.source_values import parse

_ITEM = re.compile(r" *(?:[-*+]|\d{1,9}[.)]) +")
_LANGUAGE = re.compile(r"[{.]*([\w+#-]*)")
_TICKS = re.compile(r"`{3,}")
_PYTHON = re.compile(r"i?py(thon)?[\d.-]*")
_WITH_CODE = re.compile(r"(python3?|py)[ \t]+(\S.*)", re.IGNORECASE)
_AFTER_TEXT = re.compile(r"[^`]+(`{3,})[ \t]*(python3?|py)[ \t]*", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"\w+=(?:[\"'].*[\"']|[^\s(]+)\s*")
"""As in `python title="x.py"`."""
_IN_CODE = re.compile(r"""#|'{3}|"{3}|'(?:\\.?|[^'\\])*(?:'|$)|"(?:\\.?|[^"\\])*(?:"|$)|`{3,}|~{3,}""")
_IN_STRING = re.compile(r"""\\.|'{3}|"{3}""")
"""What decides whether the rest of a line of Python is in a triple-quoted string."""
_TRIPLE = ("'''", '"""')
_MOST_INDENT = 3
"""Spaces before a fence. With more, the line is indented code."""
_MOST_GUESSES = 50
"""Blocks that are read otherwise than in CommonMark, and may cost a pass over the text each. After so many, none is."""


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


@dataclass(frozen=True, slots=True)
class _Opening:
    """The line that opens a block."""

    fence: str
    language: str
    indent: int = 0
    code: str = ""
    """What follows the language, if it may be code."""
    is_whole: bool = False
    """Whether the fence at the end of this line closes the block."""
    is_after_text: bool = False


def read_blocks(text: str) -> list[Block]:
    r"""Return the fenced blocks of a text whose lines end with `\n`; a block without a closing fence ends with the text."""
    blocks: list[Block] = []
    lines = text.split("\n")
    number = item = guesses = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        bare = line.lstrip(" ")
        margin = len(line) - len(bare)
        if match := _ITEM.match(line):
            item = margin = match.end()
            bare = line[margin:]
        elif bare and margin < item:
            item = 0
        is_fence = margin <= _MOST_INDENT or item <= margin <= item + _MOST_INDENT
        opening = _read_opening(bare, margin) if is_fence else None
        may_guess = guesses < _MOST_GUESSES
        if opening is None or (opening.is_after_text and not may_guess):
            continue
        if opening.is_whole:
            blocks.append(Block(opening.language, f"{opening.code}\n"))
            continue
        end, last, is_unended = _find_end(lines, number, opening, reads_strings=may_guess)
        guesses += is_unended or opening.is_after_text or bool(opening.code)
        inside = lines[number:end]
        if opening.indent:
            inside = [each[min(len(each) - len(each.lstrip(" ")), opening.indent) :] for each in inside]
        if opening.is_after_text and any(each.lstrip(" ").startswith(opening.fence) for each in inside):
            continue  # a remark about fences
        if last is not None:
            inside.append(last)
        code = "\n".join(inside) + "\n" * (end < len(lines) and bool(inside))
        if opening.code and may_guess and _is_code(opening.code, code):
            code = f"{opening.code}\n{code}"
        blocks.append(Block(opening.language, code))
        number = end + 1
    return blocks


def write_block(code: str) -> str:
    """Return a Python block, with more ticks than any fence in the code."""
    ticks = "`" * (1 + max([2, *(len(each) for each in _TICKS.findall(code))]))
    return f"{ticks}python\n{code.rstrip()}\n{ticks}"


def _read_opening(bare: str, margin: int) -> _Opening | None:
    """Return what a line without its indentation opens, or None."""
    if not bare.startswith(("```", "~~~")):
        match = _AFTER_TEXT.fullmatch(bare) if "```" in bare else None
        return _Opening(match[1], match[2].lower(), is_after_text=True) if match else None
    info = bare.lstrip(bare[0])
    fence = bare[: len(bare) - len(info)]
    with_code = _WITH_CODE.match(info.strip())
    if fence[0] == "`" and "`" in info:
        _, ticks = _scan(with_code[2], "") if with_code else ("", -1)
        if with_code is None or ticks < 0 or with_code[2][ticks:] != fence:
            return None
        return _Opening(fence, with_code[1].lower(), margin, with_code[2][:ticks].rstrip(), is_whole=True)
    found = _LANGUAGE.match(info.strip())
    language = found[1].lower() if found else ""
    return _Opening(fence, language, margin, with_code[2] if with_code else "")


def _find_end(lines: Sequence[str], begin: int, opening: _Opening, *, reads_strings: bool) -> tuple[int, str | None, bool]:
    """Return the line at which a block ends, its code before a fence that ends that line, and whether a string has no end."""
    fence = opening.fence
    may_be_code = reads_strings and (not opening.language or _PYTHON.fullmatch(opening.language) is not None)
    quote, read, counted, counts, first = "", begin, begin, [0, 0], -1
    for number in range(begin, len(lines)):
        line = lines[number]
        if fence not in line:
            continue
        bare = line.lstrip(" ")
        is_closing = len(line) - len(bare) <= max(_MOST_INDENT, opening.indent) and _is_closing(bare, fence)
        if not is_closing and not (may_be_code and line.rstrip().endswith(fence)):
            continue
        if may_be_code:
            code = "\n".join(lines[counted:number])
            counts = [count + code.count(each) for count, each in zip(counts, _TRIPLE, strict=True)]
            counted = number
        is_open = False
        if counts[0] % 2 or counts[1] % 2:
            for each in lines[read:number]:
                quote, _ = _scan(each, quote)
            read, is_open = number, bool(quote)
        if is_closing and not is_open:
            return number, None, False
        if is_closing:
            first = number if first < 0 else first
        elif (ticks := _scan(line, quote if is_open else "")[1]) >= 0 and line[:ticks].strip():
            return number, line[min(len(line) - len(bare), opening.indent) : ticks].rstrip(), False
    return (len(lines), None, False) if first < 0 else (first, None, True)


def _scan(line: str, quote: str) -> tuple[str, int]:
    """Return the triple quote that is open after a line of Python ("" for none), and where a fence at its end begins, or -1."""
    position, fence, end = 0, -1, len(line.rstrip())
    while match := (_IN_STRING if quote else _IN_CODE).search(line, position):
        position, found = match.end(), match[0]
        if quote:
            quote = "" if found == quote else quote
        elif found in _TRIPLE:
            quote = found
        elif found == "#":
            break
        elif found[0] in "`~" and position == end:
            fence = match.start()
    return quote, fence


def _is_code(first: str, rest: str) -> bool:
    """Check whether what follows the language is the first line of the block's code, and not an attribute or a title."""
    body = parse(f"{first}\n{rest}")
    if not body or body[0].lineno != 1 or _ATTRIBUTE.fullmatch(first):
        return False
    return not isinstance(body[0], ast.Expr) or any(isinstance(each, ast.Call | ast.Await) for each in ast.walk(body[0]))


def _is_closing(bare: str, fence: str) -> bool:
    marks = bare.rstrip(" \t")
    return marks.startswith(fence) and not marks.strip(fence[0])
