"""The source lines of a traceback, put in by who has the source.

A program's process prints its traceback by the interpreter's own printer, which finds no file to read lines from; working
them out there would cost every wrong program half as much again.
"""

from __future__ import annotations

import re

from rewards.sandbox.local.inside.child import NAME

_FRAME = re.compile(rf'^( *)File "{re.escape(NAME)}", line (\d+), in .*\n', re.MULTILINE)


def add_lines(error: str, code: str) -> str:
    """What a program wrote to standard error, with a line of its source under each frame of a traceback."""
    if f'File "{NAME}", line ' not in error:
        return error
    lines = code.splitlines()

    def add(match: re.Match[str]) -> str:
        number = int(match[2])
        line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        return f"{match[0]}{match[1]}  {line}\n" if line else match[0]

    return _FRAME.sub(add, error)
