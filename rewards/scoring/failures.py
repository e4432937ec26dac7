"""Failed rewards: written to a file, counted, and the run aborted if there are too many.

Several processes, possibly on several machines, compute a run's rewards. Each appends to one file of failures, and keeps its
number of scored rows in a small file next to it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.errors import RewardError, one_line
from rewards.registry import Reward
from rewards.sandbox import SandboxUnavailableError

_log = logging.getLogger(__name__)

FILE = "failures.jsonl"
"""The name of a run's file of failures, in a folder without other files."""

_STOPPED = "stopped"
_COUNT = ".count"

# The minimum number of rows for a share, and the maximum: a service that breaks down late must be noticed quickly, too.
_AT_LEAST, _NEWEST = 32, 1024
_LOGGED = 5
_LOG_SECONDS = 30.0


@dataclass(frozen=True)
class Counts:
    """The number of scored rows, and of failed ones among them."""

    rows: int = 0
    failed: int = 0


class Failures:
    """The failures of this process. Thread-safe; other processes may write to the same file."""

    def __init__(self, path: Path | None, max_failed: float) -> None:
        self._path = path
        self._max_failed = max_failed
        self._lock = threading.Lock()
        self._newest: deque[bool] = deque(maxlen=_NEWEST)
        self.counts = Counts()
        self._first: str | None = None
        self._names: tuple[str, ...] = ()
        self._stopped: str | None = None
        self._logged_at = -_LOG_SECONDS
        self._count_file: int | None = None
        self._file: int | None = None
        self._pid = 0

    def check(self) -> None:
        """Check that the run has not been aborted.

        Raises:
            RewardError: too many rewards failed.
        """
        if self._stopped:
            raise RewardError(self._stopped)

    def stop(self, reason: str) -> None:
        """Abort the run: `check` raises from now on."""
        with self._lock:
            self._stopped = f"{' '.join(reason.split())} (on {socket.gethostname()})"
            self._open()
            self._report_stop(self._stopped)

    def passed(self) -> None:
        """Count a scored row."""
        with self._lock:
            self._count(False)

    def failed(self, reward: Reward | None, error: BaseException, row: Mapping[str, Any]) -> None:
        """Count and record a row whose reward failed.

        Args:
            reward: the one that failed; None if no reward scores the row.
            error: its error.
            row: identifies the row: `row` (its id) and `data_source`.

        Raises:
            RewardError: too many have failed (with the reward, the share, the first row and its error), or the error is a
                RewardError itself: the reward cannot work here at all.
        """
        name, cause, location = reward.name if reward else "none", one_line(error), _find_location(error, reward)
        which = f"row {row.get('row')} of {row.get('data_source')}"
        message = f"{which}: {cause}" + (f" ({location})" if location else "")
        record = {**row, "reward": name, "error": cause, "place": location, "process": os.getpid()}
        with self._lock:
            self._count(True)
            if self._file is not None:
                # The whole line in one write: with O_APPEND, lines of several processes do not mix.
                line = json.dumps(record, ensure_ascii=False, default=str) + "\n"
                os.write(self._file, line.encode("utf-8", "replace"))
            self._log_failure(f"reward {name} failed on {message}")
            self._first = self._first or message
            self._names = tuple(dict.fromkeys((*self._names, name)))
            if not self._stopped and (reason := self._find_reason(error)):
                self._stopped = f"{reason}; first on {which if isinstance(error, RewardError) else self._first}"
                self._stopped += f"; all failures: {self._path}" if self._path else ""
                self._report_stop(self._stopped)
        self.check()

    def _find_reason(self, error: BaseException) -> str | None:
        """Return why the run must be aborted after this error, if it must."""
        if isinstance(error, RewardError):
            return " ".join(str(error).split())
        if isinstance(error, SandboxUnavailableError) and self._max_failed < 1:
            return f"reward {', '.join(self._names)} cannot run programs: {error}"
        failed, rows = sum(self._newest), len(self._newest)
        if rows < _AT_LEAST or failed <= self._max_failed * rows:
            return None
        share = f"{failed:,} of {rows:,} responses ({failed / rows:.0%}; max_failed_rewards is {self._max_failed:g})"
        return f"reward {', '.join(self._names)} failed on {share}"

    def _count(self, failed: bool) -> None:
        self._newest.append(failed)
        self.counts = Counts(self.counts.rows + 1, self.counts.failed + failed)
        self._open()
        if self._count_file is not None:
            os.pwrite(self._count_file, b"%12d %12d\n" % (self.counts.rows, self.counts.failed), 0)

    def _report_stop(self, message: str) -> None:
        """Write the message to a file that the pipeline watches.

        An exception alone does not end a training: verl treats it as a failed sample and continues (0.9.1,
        trainer/ppo/v1/replay_buffer.py; its rate_limited manager even scores the row 0).
        """
        _log.error("RewardError: %s", message)
        if self._file is not None and self._path is not None:
            # The first process's message counts: the others fail because of it.
            with suppress(OSError), self._path.with_name(_STOPPED).open("x", encoding="utf-8") as file:
                file.write(message + "\n")

    def _log_failure(self, text: str) -> None:
        now = time.monotonic()
        if self.counts.failed <= _LOGGED or now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            _log.error("%s (failure %d of %d rows)", text, self.counts.failed, self.counts.rows)

    def _open(self) -> None:
        """Open the files, once in this process and once in each forked from it."""
        if self._path is None or self._pid == os.getpid():
            return
        if self._pid:  # forked while it counted a row
            self.counts = Counts(1, int(self._newest[-1]))
        self._pid, self._file, self._count_file = os.getpid(), None, None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            own = self._path.with_name(f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}{_COUNT}")
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._count_file = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            _log.warning("failed rewards cannot be written to %s: %s", self._path, error.strerror)


def read_counts(folder: Path) -> Counts:
    """Return the total counts of all processes in a run's folder of failures."""
    rows = failed = 0
    for file in folder.glob(f"*{_COUNT}"):
        numbers = file.read_bytes().split()
        if len(numbers) == 2:
            rows, failed = rows + int(numbers[0]), failed + int(numbers[1])
    return Counts(rows, failed)


def read_stop_reason(folder: Path) -> str | None:
    """Return why the run was aborted; None if it was not."""
    try:
        text = (folder / _STOPPED).read_text(encoding="utf-8")
    except OSError:
        return None
    return text.strip() if text.endswith("\n") else None  # being written


def archive_failures(folder: Path) -> None:
    """Move the failures of an attempt to `<folder>-1`, `-2` …; delete counts without failures."""
    if not folder.is_dir():
        return
    if not (folder / FILE).exists() or (folder / FILE).stat().st_size == 0:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        return
    number = 1
    while (target := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    folder.rename(target)


def _find_location(error: BaseException, reward: Reward | None) -> str:
    """Return `file:line` in the reward's own file that raised the error; empty if none of its lines did."""
    if reward is None:
        return ""
    file = reward.location.rpartition(":")[0]
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f"{file}:{lines[-1]}" if lines else ""
