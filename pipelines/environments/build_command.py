"""Run one command of a build: its output goes to a log, its failure becomes one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipelines.errors import StepError

_DECORATION = re.compile(r"[│╰├─▶\u00d7]|\x1b\[[0-9;]*m")
_MAX_REASON = 400


def run(
    argv: Sequence[str],
    *,
    log: Path,
    variables: Mapping[str, str],
    what: str,
    lock: int | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
    watch: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a command.

    Args:
        what: The start of the error message.
        lock: A file descriptor for the command to inherit: the lock of the folder it writes into stays held until the
            command has ended, even if this process is killed.
        watch: Called with each line of output.
    """
    lines: list[str] = []
    with log.open("a", encoding="utf-8") as sink:
        sink.write(f"$ {' '.join(argv)}\n")
        sink.flush()
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=dict(variables),
                cwd=cwd or log.parent,
                pass_fds=() if lock is None else (lock,),
                start_new_session=True,
            )
        except OSError as error:
            raise StepError(f"{what}: {argv[0]} cannot be started: {error.strerror}") from None
        with child:
            try:
                if child.stdin and stdin is not None:
                    child.stdin.write(stdin)
                    child.stdin.close()
                for line in child.stdout or ():
                    sink.write(line)
                    lines.append(line)
                    watch(line.rstrip())
            except BaseException:
                # With its workers: those of compileall would wait for tasks for ever, and keep the lock.
                os.killpg(child.pid, signal.SIGTERM)
                raise
    if child.returncode:
        raise StepError(f"{what}: {find_reason(lines) or f'exit status {child.returncode}'} (full log: {log})")


def find_reason(lines: Sequence[str]) -> str:
    """Return the last error in the output of uv, pip or git as one line, without decoration and hints."""
    start = max(
        (i for i, line in enumerate(lines) if re.match(r"\s*(error:|\u00d7|fatal:)", line, re.IGNORECASE)),
        default=max(0, len(lines) - 3),
    )
    kept = []
    for line in lines[start:]:
        text = _DECORATION.sub(" ", line).strip()
        if text.lower().startswith("hint:"):
            break
        kept.append(re.sub(r"^(error|fatal):\s*", "", text, flags=re.IGNORECASE))
    joined = re.sub(r"\s+", " ", " ".join(kept)).strip()
    joined = re.sub(r"\s*caused by:\s*|\s+cause:\s+", ": ", joined, flags=re.IGNORECASE)
    return joined if len(joined) <= _MAX_REASON else joined[: _MAX_REASON - 2] + " …"
