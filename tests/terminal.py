"""A pseudo-terminal for tests of what a user sees."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|38;[0-9;]+|4[0-7]|48;[0-9;]+|9[0-7]|10[0-7])(?:;[0-9]+)*m")


def show(command: Sequence[str | Path], columns: int, cwd: Path, variables: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a command on a terminal of this width; return its status and what it printed, with control sequences."""
    master, slave = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environment = kept | {"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm-256color", **(variables or {})}
    with subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=environment, cwd=cwd) as child:
        os.close(slave)
        output = b""
        while True:
            try:
                output += os.read(master, 65536)
            except OSError:  # closed by the child
                break
        status = child.wait()
    os.close(master)
    return status, output.decode().replace("\r\n", "\n")


def pipeline(*arguments: str) -> list[str]:
    """Return the command `pipeline …` of this Python."""
    return [str(Path(sys.executable).with_name("pipeline")), *arguments]


def plain(text: str) -> str:
    """Return a text without control sequences."""
    return CONTROL.sub("", text)
