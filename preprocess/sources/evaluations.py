"""Read what `pipeline evaluate` leaves: in the folder of a set, `problems.jsonl` and `responses.jsonl`.

The fields are those of `pipelines.evaluation.records`, which is above this package; those that nothing here needs are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from preprocess.errors import SourceError
from preprocess.sources.reading import Record

PROBLEMS, RESPONSES = "problems.jsonl", "responses.jsonl"


class EvaluatedProblem(msgspec.Struct, gc=False):
    """What a model was asked."""

    row: str
    prompt: list[dict[str, str]]
    """Messages with `role` and `content`."""


class EvaluatedResponse(msgspec.Struct, gc=False):
    """One sampled response with its score."""

    row: str
    sample: int
    text: str
    tokens: int
    finish: str
    """`stop` if the model ended it."""
    score: float
    accuracy: float | None
    """None if the reward returns none."""
    failed: str | None = None
    """Why it could not be scored."""
    calls: int = 0
    """Of the tool."""


class SampledProblem(msgspec.Struct, gc=False):
    """A problem with all its responses."""

    problem: EvaluatedProblem
    responses: list[EvaluatedResponse]


class _Line(msgspec.Struct, gc=False):
    row: str


def read_problems(source: Path) -> Iterator[Record]:
    """Read each problem of an evaluation, with its responses, as a `SampledProblem`.

    Args:
        source: the folder of an evaluation or of one of its sets, or a set's `responses.jsonl`.

    Raises:
        SourceError: A file is missing.
    """
    found = [source] if source.is_file() else sorted(source.rglob(RESPONSES))
    if not found or found[0].name != RESPONSES:
        expected = f"expected the folder of an evaluation, or of one of its sets, with {RESPONSES} in it"
        raise SourceError(f"source {source}{'' if source.exists() else ' does not exist'}: {expected}")
    for responses in found:
        problems = responses.with_name(PROBLEMS)
        if not problems.is_file():
            raise SourceError(f"{responses}: no {PROBLEMS} next to it, which has the prompts of its rows")
        try:
            yield from _read_set(problems, responses)
        except OSError as error:
            raise SourceError(f"{error.filename or responses}: {error.strerror}") from error


def read_lines(file: Path, *, torn: bool = False) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset and text of each line that is not empty.

    Args:
        torn: also yield a last line without its end, which is still being written, or torn by a kill.
    """
    offset = 0
    with file.open("rb") as lines:
        for number, text in enumerate(lines, 1):
            if not text.isspace() and (torn or text.endswith(b"\n")):
                yield number, offset, text
            offset += len(text)


def _read_set(problems: Path, responses: Path) -> Iterator[Record]:
    decoder = msgspec.json.Decoder(_Line)
    places: dict[str, list[tuple[int, int, int]]] = {}
    for number, offset, text in read_lines(responses):
        try:
            places.setdefault(decoder.decode(text).row, []).append((number, offset, len(text)))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            yield _broken(responses, number, f"not a response of an evaluation: {error}")
    read: set[str] = set()
    with responses.open("rb") as file:
        for number, _, text in read_lines(problems):
            try:
                row = decoder.decode(text).row
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                yield _broken(problems, number, f"not a problem of an evaluation: {error}")
                continue
            if row in read:
                yield _broken(problems, number, f"a second problem {row!r}")
                continue
            read.add(row)
            given = b",".join(_read_at(file, offset, size) for _, offset, size in places.pop(row, []))
            yield Record(number, b'{"problem":%b,"responses":[%b]}' % (text, given), path=str(problems))
    for row, rest in places.items():
        yield _broken(responses, rest[0][0], f"row {row!r}, of {len(rest)} responses, is not in {PROBLEMS}")


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _broken(path: Path, line: int, reason: str) -> Record:
    return Record(line, b"", reason, str(path))
