"""Rows whose reward failed: written down, counted, and too many of them an end of the run.

A run's rewards are computed by several processes, perhaps on several machines. Each appends to one file of failures, and
keeps a small file of its own beside it with how many rows it has scored.
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

from rewards.errors import RewardError
from rewards.registry import Reward

_log = logging.getLogger(__name__)

FILE = "failures.jsonl"
"""The name of a run's file of failures, in a folder of its own."""

_STOPPED = "stopped"

AT_LEAST = 32
"""Rows before a share of them means anything."""

_COUNT = ".count"
# So that a service that breaks down after a long good beginning is noticed as soon as one that never worked.
_NEWEST = 1024
_LONGEST = 2000
_LOGGED = 5
_LOG_SECONDS = 30.0


@dataclass(frozen=True)
class Counts:
    """How many rows were scored, and of how many the reward failed."""

    rows: int = 0
    failed: int = 0


class Failures:
    """The failures of this process. Safe to use from many threads; other processes may write to the same file."""

    def __init__(self, path: Path | None, max_failed: float) -> None:
        self._path = path
        self._max_failed = max_failed
        self._lock = threading.Lock()
        self._newest: deque[bool] = deque(maxlen=_NEWEST)
        self._counts = Counts()
        self._first: str | None = None
        self._names: tuple[str, ...] = ()
        self._stopped: str | None = None
        self._logged_at = -_LOG_SECONDS
        self._tally: int | None = None
        self._file: int | None = None
        self._pid = 0

    @property
    def counts(self) -> Counts:
        """Of this process."""
        return self._counts

    def check(self) -> None:
        """Raises:
        RewardError: too many rewards had failed before.
        """
        if self._stopped:
            raise RewardError(self._stopped)

    def stop(self, reason: str) -> None:
        """Ends the run before its first row: from now on `check` raises."""
        with self._lock:
            self._stopped = f"{' '.join(reason.split())} (on {socket.gethostname()})"
            self._open()
            self._tell_stop(self._stopped)

    def passed(self) -> None:
        """Counts a row that was scored."""
        with self._lock:
            self._count(False)

    def failed(self, reward: Reward | None, error: BaseException, row: Mapping[str, Any]) -> None:
        """Counts and writes down a row whose reward failed.

        Args:
            reward: the one that failed; None where no reward took the row.
            error: how.
            row: what names the row: `row` (its id) and `data_source`.

        Raises:
            RewardError: that was one too many (names the reward, the share, the first row and its error), or the error is
                one itself: by it a reward says that it cannot work here at all.
        """
        name, cause, place = reward.name if reward else "none", one_line(error), find_place(error, reward)
        which = f"row {row.get('row')} of {row.get('data_source')}"
        told = f"{which}: {cause}" + (f" ({place})" if place else "")
        record = {**row, "reward": name, "error": cause, "place": place, "process": os.getpid()}
        with self._lock:
            self._count(True)
            self._append(record)
            self._say(f"reward {name} failed on {told}")
            self._first = self._first or told
            self._names = tuple(dict.fromkeys((*self._names, name)))
            if not self._stopped and (reason := self._find_reason(error)):
                self._stopped = f"{reason}; first on {which if isinstance(error, RewardError) else self._first}"
                self._stopped += f"; all failures: {self._path}" if self._path else ""
                self._tell_stop(self._stopped)
        self.check()

    def _find_reason(self, error: BaseException) -> str | None:
        """Why the run is not to go on after this error."""
        if isinstance(error, RewardError):
            return " ".join(str(error).split())
        failed, rows = sum(self._newest), len(self._newest)
        if rows < AT_LEAST or failed <= self._max_failed * rows:
            return None
        said = f"{failed:,} of {rows:,} responses ({failed / rows:.0%}; max_failed_rewards is {self._max_failed:g})"
        return f"reward {', '.join(self._names)} failed on {said}"

    def _count(self, failed: bool) -> None:
        self._newest.append(failed)
        self._counts = Counts(self._counts.rows + 1, self._counts.failed + failed)
        self._open()
        if self._tally is not None:
            os.pwrite(self._tally, b"%12d %12d\n" % (self._counts.rows, self._counts.failed), 0)

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._file is not None:
            # One write of the whole line: with O_APPEND lines of several processes do not mix.
            os.write(self._file, (json.dumps(record, ensure_ascii=False, default=str) + "\n").encode("utf-8", "replace"))

    def _tell_stop(self, message: str) -> None:
        """Says it where the run looks, too.

        An exception alone does not end a training: verl takes it for a failed sample, and goes on without (0.9.1,
        trainer/ppo/v1/replay_buffer.py; its rate_limited manager even scores the row 0).
        """
        _log.error("RewardError: %s", message)
        if self._file is not None and self._path is not None:
            # The first process's word counts: the others follow from it.
            with suppress(OSError), self._path.with_name(_STOPPED).open("x", encoding="utf-8") as file:
                file.write(message + "\n")

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if self._counts.failed <= _LOGGED or now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            _log.error("%s (failure %d of %d rows)", text, self._counts.failed, self._counts.rows)

    def _open(self) -> None:
        """Opens the files, in this process and again in one forked from it."""
        if self._path is None or self._pid == os.getpid():
            return
        if self._pid:  # forked while it counted a row
            self._counts = Counts(1, int(self._newest[-1]))
        self._pid, self._file, self._tally = os.getpid(), None, None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            mine = self._path.with_name(f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}{_COUNT}")
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._tally = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            _log.warning("failed rewards cannot be written down in %s: %s", self._path, error.strerror)


def read_counts(folder: Path) -> Counts:
    """What all processes together have counted in a run's folder of failures."""
    rows = failed = 0
    for file in folder.glob(f"*{_COUNT}"):
        numbers = file.read_bytes().split()
        if len(numbers) == 2:
            rows, failed = rows + int(numbers[0]), failed + int(numbers[1])
    return Counts(rows, failed)


def read_stop(folder: Path) -> str | None:
    """Why the training is not to go on; None while it may."""
    try:
        text = (folder / _STOPPED).read_text(encoding="utf-8")
    except OSError:
        return None
    return text.strip() if text.endswith("\n") else None  # being written


def put_aside(folder: Path) -> None:
    """Makes room for another attempt: failures are kept in `<folder>-1`, `-2` …; counts without failures are not."""
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


def one_line(error: BaseException) -> str:
    """`Type: message` without line breaks, at a readable length."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(its message cannot be read)"
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return f"{type(error).__name__}: {text}"[:_LONGEST].rstrip(": ")


def find_place(error: BaseException, reward: Reward | None) -> str:
    """`file:line` in the reward's own file where the error came from; empty where it never went through there."""
    if reward is None:
        return ""
    file = reward.place.rpartition(":")[0]
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f"{file}:{lines[-1]}" if lines else ""
