"""The records of an evaluation, one JSON object per line: problems, what a model generated for them, and the scored responses.

Imported by the generator in verl's environment, too: the standard library and msgspec only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

_BLOCK = 1000


class RecordError(ValueError):
    """A line of a file is not a record of its kind; one line with file and line number."""


class Problem(msgspec.Struct, frozen=True):
    """What a model is asked, and what its reward needs."""

    row: str
    """The row's id, unique within a set."""
    prompt: tuple[dict[str, str], ...]
    """Messages with `role` and `content`."""
    data_source: str
    ground_truth: str
    """As in the `reward_model` column of verl's rows."""
    extra_info: dict[str, Any] = {}
    tags: Mapping[str, str] = {}
    """By what results are grouped, as `difficulty` and `source`."""


class Generated(msgspec.Struct, frozen=True):
    """One sampled response, as it came from the model."""

    row: str
    sample: int
    """From 0."""
    text: str
    tokens: int
    """Of the response; those of tool replies are not counted."""
    finish: str
    """`stop`, `length` (cut at the token limit), or `turns` (cut at the limit of tool turns)."""
    prompt_tokens: int = 0
    calls: int = 0
    """Of the tool."""
    usage: dict[str, Any] = {}
    """The calls in detail, as verl reports them to rewards in training; empty without a tool."""


class Response(msgspec.Struct, frozen=True):
    """One sampled response with its score."""

    row: str
    sample: int
    text: str
    tokens: int
    finish: str
    score: float
    accuracy: float | None
    """1 for a correct response; a share between 0 and 1 where the reward gives one; None if the reward reports none."""
    share: float | None = None
    """Share of tests passed, where the reward has tests."""
    has_form: bool | None = None
    """Whether it has the asked form (for code: a code block); None if the reward does not tell."""
    reason: str | None = None
    """Why it has this score."""
    failed: str | None = None
    """Why it could not be scored; the score is 0 then."""
    prompt_tokens: int = 0
    calls: int = 0


Record = TypeVar("Record", Problem, Generated, Response)


def read(path: Path, kind: type[Record]) -> Iterator[Record]:
    """Yield the records of a file, in order; none if it is missing. A last line without its end is skipped.

    Raises:
        RecordError: A complete line is not a record of this kind.
    """
    tail = Tail(path, kind)
    while found := tail.read(_BLOCK):
        yield from found


class Appender:
    """Appends records to a file. A torn last line, which a killed process left, is cut off first.

    Several processes may append to one file: each record is written under a lock on it, so that a reader sees whole lines.

    Raises:
        OSError: The file cannot be written; what is in it stays. The error has the file's name.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._encode = msgspec.json.Encoder().encode
        with self._locked():
            os.ftruncate(self._file, _end_of_last_line(self._file))

    def append(self, record: Problem | Generated | Response) -> None:
        """Write a record. A partial write is undone."""
        data = self._encode(record) + b"\n"
        with self._locked():
            end, done = os.lseek(self._file, 0, os.SEEK_END), 0
            try:
                while done < len(data):
                    done += os.pwrite(self._file, data[done:], end + done)
            except OSError as error:
                os.ftruncate(self._file, end)
                raise OSError(error.errno, error.strerror, str(self._path)) from None

    def close(self) -> None:
        """Flush the records to disk and close the file."""
        os.fsync(self._file)
        os.close(self._file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


class Tail(Generic[Record]):
    """Reads the records that are appended to a file, each once."""

    def __init__(self, path: Path, kind: type[Record]) -> None:
        self._path = path
        self._kind: type[Record] = kind
        self._decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(kind)
        self._offset = self._number = 0

    def read(self, most: int | None = None) -> list[Record]:
        """Return the records since the last call; none if the file is missing.

        Args:
            most: Return at most so many, the others by the next call.

        Raises:
            RecordError: A complete line is not a record of this kind.
        """
        found: list[Record] = []
        if not self._path.exists():
            return found
        with self._path.open("rb") as file:
            file.seek(self._offset)
            while most is None or len(found) < most:
                line = file.readline()
                if not line.endswith(b"\n"):
                    break  # still being written, or torn by a kill
                self._offset += len(line)
                self._number += 1
                try:
                    found.append(self._decoder.decode(line))
                except msgspec.MsgspecError as error:
                    raise RecordError(f"{self._path}:{self._number}: not a {self._kind.__name__.lower()}: {error}") from None
        return found


def _end_of_last_line(file: int) -> int:
    """Return the offset after the last line break."""
    position = os.lseek(file, 0, os.SEEK_END)
    while position:
        begin = max(0, position - (1 << 16))
        found = os.pread(file, position - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        position = begin
    return 0
