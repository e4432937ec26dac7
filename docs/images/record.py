"""Record a command on a terminal of 100 columns as an SVG of its last screen: `python docs/images/record.py OUT.svg COMMAND …`.

`docs/images/run.svg` is that of a new clone without environments:

    python docs/images/record.py docs/images/run.svg pipeline run smoke.yaml
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100
PLACE = "~/code-post-training"
"""What the SVG has instead of the current folder."""

_ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def record(argv: list[str]) -> str:
    """Run a command on a terminal and return what it wrote; the terminal shows it, too."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    variables = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "40", "TERM": "xterm-256color"}
    output = b""
    with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=variables) as child:
        os.close(slave)
        while True:
            try:
                output += (block := os.read(master, 65536))
            except OSError:  # closed by the command
                break
            sys.stdout.buffer.write(block)
            sys.stdout.flush()
    os.close(master)
    if child.returncode:
        sys.exit(f"{shlex.join(argv)} ended with {child.returncode}")
    return output.decode()


def replay(output: str) -> list[str]:
    """Return the lines that a terminal shows at the end, with their colours.

    Only what rich writes is understood: erased lines are written again from their beginning.
    """
    lines, row, at = [""], 0, 0
    while at < len(output):
        if escape := _ESCAPE.match(output, at):
            at = escape.end()
            if escape[2] == "A":
                row = max(0, row - int(escape[1] or 1))
            elif escape[2] == "K":
                lines[row] = ""
            elif escape[2] == "m":
                lines[row] += escape[0]
            continue
        if output[at] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif output[at] != "\r":
            lines[row] += output[at]
        at += 1
    return lines


def render(command: str, lines: list[str]) -> str:
    """Return the SVG of a command and its output."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(f"[bold green]$[/] {command}", highlight=False)
    console.print(Text.from_ansi("\n".join(lines).rstrip()))
    svg = console.export_svg(title=command, unique_id="run")
    # The fonts would be downloaded from another server; the page's monospace font does as well.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code", "ui-monospace")


def main(out: Path, argv: list[str]) -> None:
    """Record a command."""
    lines = [line.replace(str(Path.cwd()), PLACE) for line in replay(record(argv))]
    out.write_text(render(shlex.join(argv), lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
