"""The records of an evaluation, one JSON object per line: problems, what a model generated for them, and the scored responses.

Imported by the generator in verl's environment, too: the standard library and msgspec only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec


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
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # still being written, or torn by a kill
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise RecordError(f"{path}:{number}: not a {kind.__name__.lower()}: {error}") from None


class Appender:
    """Appends records to a file. A torn last line, which a killed process left, is cut off first.

    Each record is one write to the end of the file, so that a reader sees whole lines.

    Raises:
        OSError: The file cannot be written; what is in it stays.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._end = _end_of_last_line(self._file)
        os.ftruncate(self._file, self._end)
        self._encode = msgspec.json.Encoder().encode

    def append(self, record: Problem | Generated | Response) -> None:
        """Write a record. A partial write is undone."""
        data = self._encode(record) + b"\n"
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._file, data[done:], self._end + done)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(data)

    def close(self) -> None:
        """Flush the records to disk and close the file."""
        os.fsync(self._file)
        os.close(self._file)


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
