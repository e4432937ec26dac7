"""Describe why a step failed: one line, then the last lines of its log."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from pipelines.errors import StepError
from pipelines.run.process import Outcome

_LOG_LINES = 12
_LONGEST = 300
_MOST_BYTES = 8 << 20
_ERROR = re.compile(r"(^|\s)([A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Refused)|handover|prepare|error): \S")
# An error that this project raises on purpose is the cause of any other error in the log.
_OURS = re.compile(r"(?:^|[\s.])(?:RewardError|NothingToLearnError): (\S.*)")


def failure(reason: str, log: Path) -> StepError:
    """Return an error with the reason and the last lines of the log."""
    tail = "".join(f"  | {line[:_LONGEST]}\n" for line in last_attempt(log)[-_LOG_LINES:])
    return StepError(f"{reason}\n{tail}  whole log: {log}")


def describe_end(outcome: Outcome, log: Path) -> str:
    """Return how the command ended and why: an error of this project, else the last error in its log."""
    if outcome.status is None:
        ended = "did not end on SIGTERM and was killed"
    elif outcome.status < 0:
        ended = f"was killed by signal {-outcome.status}"
        ended += " (the kernel kills processes when memory runs out)" if outcome.status == -signal.SIGKILL else ""
    else:
        ended = f"ended with status {outcome.status}"
    lines = last_attempt(log)
    if ours := next((found for line in reversed(lines) if (found := _OURS.search(line))), None):
        return f"{ended}: {ours[1].strip()}"
    cause = next((line for line in reversed(lines[-400:]) if _ERROR.search(line)), "")
    cause = re.sub(r"^\s*\(\w[^)]*\)\s*", "", cause).strip()  # without Ray's prefix, `(TaskRunner pid=1) `
    return f"{ended}: {cause[:_LONGEST]}" if cause else ended


def last_attempt(log: Path) -> list[str]:
    """Return the log's lines since the last attempt began, without empty lines and colours; of a long one the end."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    begins = max((number for number, line in enumerate(lines) if line.startswith("--- attempt")), default=-1)
    return [line for line in lines[begins + 1 :] if line.strip()]
