"""Call the program of a recipe's `notify` when a run has ended. Whatever it does, the run has ended as it did."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from pipelines.records.runs import open_run
from pipelines.records.summaries import summarise_status

LOG = "notify.log"
"""What the program prints, in the run directory."""

_SECONDS = 60.0


def notify(
    command: Sequence[str], directory: Path, state: Literal["complete", "failed"], reason: str = "", seconds: float = _SECONDS
) -> str | None:
    """Call a program with the state of a run; return why that failed, on one line.

    Args:
        command: The program and its arguments.
        directory: The run directory.
        state: How the run ended.
        reason: Why it failed.
        seconds: Time after which the program is ended.
    """
    try:
        status = msgspec.json.encode(summarise_status(open_run(directory)))
        variables = {"STATE": state, "NAME": directory.name, "DIRECTORY": str(directory), "REASON": reason.partition("\n")[0]}
        with (directory / LOG).open("ab") as log:
            child = subprocess.Popen(
                [str(Path(command[0]).expanduser()), *command[1:]],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | {f"PIPELINE_{name}": value for name, value in variables.items()},
                start_new_session=True,
            )
        return _wait(child, command[0], status, seconds)
    except Exception as error:
        # The state of the run is the result of this command, not the notification.
        return f"{command[0]}: {getattr(error, 'strerror', None) or error}"


def _wait(child: subprocess.Popen[bytes], name: str, given: bytes, seconds: float) -> str | None:
    """Wait for the end of the program, and of what it has started."""
    try:
        child.communicate(given, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"{name} has not ended after {seconds:.0f} s and was killed"
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return f"{name} ended with status {child.returncode}" if child.returncode else None


def why_not_callable(command: Sequence[str]) -> str | None:
    """Return why a program cannot be called; None if it can."""
    name = str(Path(command[0]).expanduser())
    if shutil.which(name) is not None:
        return None
    if "/" not in name:
        return f"{command[0]} is not on PATH"
    return f"{command[0]} is not executable" if Path(name).is_file() else f"{command[0]} does not exist"
