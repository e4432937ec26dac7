"""Add source lines to a program's traceback, in the client, which has the source.

A program's process prints its traceback with the interpreter's own printer, which finds no file to read lines from.
Formatting it there would make a failing program half as expensive again.
"""

from __future__ import annotations

import re

from rewards.sandbox.local.inside.child import NAME

_FRAME = re.compile(rf'^( *)File "{re.escape(NAME)}", line (\d+), in .*\n', re.MULTILINE)


def add_lines(error: str, code: str) -> str:
    """Return a program's standard error with the source line under each traceback frame."""
    if f'File "{NAME}", line ' not in error:
        return error
    lines = code.splitlines()

    def add(match: re.Match[str]) -> str:
        number = int(match[2])
        line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        # Python 3.13 prints it itself.
        is_there = error.startswith(f"{match[1]}  {line}", match.end())
        return f"{match[0]}{match[1]}  {line}\n" if line and not is_there else match[0]

    return _FRAME.sub(add, error)
