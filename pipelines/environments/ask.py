"""Run a command with another Python and read its answer.

Standard library only: the trainers' environments import it, too.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class AskError(Exception):
    """The command failed; the message is the reason, in one line."""


def ask(python: str | Path, arguments: Sequence[str], **options: Any) -> Any:
    """Run a command as `call` does and return the JSON value in the last line of its output."""
    output = call(python, arguments, **options)
    try:
        return json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        raise AskError("it printed no JSON") from None


def call(
    python: str | Path,
    arguments: Sequence[str],
    *,
    variables: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float | None = None,
) -> str:
    """Run a command and return its standard output.

    Args:
        arguments: `-c CODE` or `-m MODULE`, and the arguments that follow.
        variables: Environment variables to set on top of this process's.
        timeout: In seconds.

    Raises:
        AskError: The command cannot be started, takes too long or fails.
    """
    try:
        done = subprocess.run(
            [str(python), *arguments],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env={**os.environ, **(variables or {})},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AskError(f"no answer after {timeout:.0f} s") from None
    except OSError as error:
        raise AskError(f"{python} cannot be started: {error.strerror}") from None
    if done.returncode:
        raise AskError(last_line(done.stderr, done.returncode))
    return done.stdout


def last_line(stderr: str, status: int | None) -> str:
    """Return the last line of a failed command's standard error, or its exit status."""
    return (stderr.strip().splitlines() or [f"exit status {status}"])[-1]
