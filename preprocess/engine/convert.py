"""The loop: a chunk of a source's records becomes packed rows, and rejects with their reasons."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.columns import pack
from preprocess.engine.job import Job, Reject, Source
from preprocess.engine.splits import Split, Whole
from preprocess.engine.threads import count_cores, map_in_threads
from preprocess.errors import RowError, SourceError
from preprocess.rows import LONGEST_TRUTH, RlRow, Row, Shape, to_json
from preprocess.sources.decoding import MissingColumnError, explain, explain_missing
from preprocess.sources.reading import Chunk, Record, Unread

if TYPE_CHECKING:
    import pyarrow as pa

NamedRow = tuple[Row, str, int]
"""A row, its name and the line of its record."""


@dataclass
class Part:
    """A converted chunk."""

    path: Path
    """The source file."""
    size: int
    """Bytes of the file that the chunk takes."""
    records: int = 0
    batches: dict[Split, pa.RecordBatch] = field(default_factory=dict)
    """Split -> its packed rows, if any."""
    buckets: dict[Split, list[int]] = field(default_factory=dict)
    """Split -> rows per shuffle bucket; the batch has the buckets one after the other."""
    rejects: list[Reject] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    """Digests of the problems that the split rule reports."""
    job: int = 0
    """The job's number."""
    names: list[tuple[str, int]] = field(default_factory=list)
    """The names of all rows and the lines of their records, if a filter knows rows by their names."""


def convert_chunk(job: Job, chunk: Chunk, map_: Callable[..., Iterable[Any]] = map) -> Part:
    """Convert a chunk's records, in order.

    Args:
        map_: `map`, or an ordered map that converts several records at once.

    Raises:
        SourceError: A converter, option or column does not exist, or the file cannot be read.
        SandboxError: Programs cannot be run.
    """
    part = Part(chunk.path, chunk.size, job=job.number)
    if isinstance(chunk, Unread):
        part.rejects.append(Reject(str(chunk.path), 0, chunk.reason, "left_out"))
        return part
    rows: dict[Split, list[NamedRow]] = {"train": [], "validation": []}
    digests: set[bytes] = set()
    rule, filters = job.rule, job.filters
    named = any(each.by_name for each in filters)
    for line, made in _convert_records(job, chunk, map_):
        part.records += 1
        if isinstance(made, Reject):
            part.rejects.append(made)
            continue
        for place, row in enumerate(made):
            name = getattr(row, "id", "") or _name(chunk, line, place)
            if named:
                part.names.append((name, line))
            digest = rule.digest(row.problem)
            split = rule.choose(digest)
            verdict = next((found for each in filters if (found := each.judge(row, name))), None)
            if verdict is None and split is not None:
                digests.add(digest)
                rows[split].append((row, name, line))
            else:
                kind, reason = verdict or ("held_out", "its problem is among the validation rows")
                part.rejects.append(Reject(str(chunk.path), line, reason, kind, name))
    for split, kept in rows.items():
        if kept:
            _pack_all(kept, split, job, chunk, part)
    part.digests = rule.report(digests)
    return part


@dataclass
class Converted:
    """Sources converted in memory."""

    records: int = 0
    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def add(self, made: list[Row] | Reject) -> None:
        """Add the result of one record."""
        self.records += 1
        if isinstance(made, Reject):
            self.rejects.append(made)
        else:
            self.rows += made


def convert(sources: Iterable[Source], shape: Shape) -> Converted:
    """Convert small sources in memory, in order.

    Raises:
        SourceError: A source, converter, option or column does not exist.
        SandboxError: Programs cannot be run.
    """
    result = Converted()
    for source in sources:
        for made in stream(source, shape):
            result.add(made)
    return result


def stream(source: Source, shape: Shape) -> Generator[list[Row] | Reject]:
    """Convert a source's records lazily, in order; rows without a name get their file and line.

    Raises:
        SourceError, SandboxError: As `convert`.
    """
    job = Job(source, shape, Whole("train"))
    with map_in_threads(count_cores() if job.runs_programs else 0) as map_:
        for chunk in job.read():
            for line, made in _convert_records(job, chunk, map_):
                if isinstance(made, Reject):
                    yield made
                else:
                    yield [_with_id(row, _name(chunk, line, place)) for place, row in enumerate(made)]


def _with_id(row: Row, name: str) -> Row:
    return msgspec.structs.replace(row, id=name) if isinstance(row, RlRow) and not row.id else row


def _name(chunk: Chunk, line: int, place: int) -> str:
    """Return the name of a row without an id: its file and line, and its place if the record gave several."""
    return f"{chunk.name}:{line}/{place}" if place else f"{chunk.name}:{line}"


def _convert_records(job: Job, chunk: Chunk, map_: Callable[..., Iterable[Any]]) -> Iterator[tuple[int, list[Row] | Reject]]:
    """Yield each record's line with its rows or its reject."""
    records = _decode_all(job, chunk) if map_ is map else None
    if records is not None:
        make = job.make
        for line, record in enumerate(records, chunk.first):
            try:
                made: list[Row] | Reject = make(record)
            except RowError as error:
                made = _reject(chunk, line, error)
            yield line, made
        return

    def attempt(record: Record) -> tuple[int, list[Row] | Reject]:
        try:
            return record.line, job.make(_decode(job, record))
        except RowError as error:
            return record.line, _reject(chunk, record.line, error)

    yield from map_(attempt, chunk.read())


def _decode_all(job: Job, chunk: Chunk) -> list[Any] | None:
    """Decode a chunk at once that has one valid record on each line, as nearly all have; else return None."""
    data = chunk.read_lines()
    if data is None:
        return None
    try:
        records: list[Any] = job.decoder.decode_lines(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    return records if len(records) == lines else None


def _decode(job: Job, record: Record) -> Any:
    if record.broken:
        raise RowError(record.broken)
    try:
        return job.decoder.decode(record.text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return explain(record.text, job.converter.find_record(job.options), error)


def _reject(chunk: Chunk, line: int, error: RowError) -> Reject:
    if isinstance(error, MissingColumnError) and line == 1 and not (error.columns and _has_any(chunk, error.columns)):
        # A column that the first record lacks is a mistake in the recipe, not a bad row.
        raise SourceError(f"{chunk.path}:1: {_explain(chunk, error)}") from None
    return Reject.from_error(str(chunk.path), line, error)


def _explain(chunk: Chunk, error: MissingColumnError) -> str:
    """Return the error with the columns of the first record, if its columns were optional."""
    return explain_missing(error.columns, _read_first(chunk)) if error.columns else str(error)


def _has_any(chunk: Chunk, columns: Iterable[str]) -> bool:
    """Return whether the first record has one of the columns: its value is null then."""
    return not _read_first(chunk).keys().isdisjoint(columns)


def _read_first(chunk: Chunk) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(next(chunk.read()).text)
    return fields


def _pack_all(kept: Sequence[NamedRow], split: Split, job: Job, chunk: Chunk, part: Part) -> None:
    """Pack rows into a part; those whose text or ground truth cannot be written become rejects."""
    with suppress(UnicodeEncodeError, RowError):
        if _pack(kept, split, job, chunk, part):
            return
    good = []
    for row, name, line in kept:
        try:
            if isinstance(row, RlRow) and (length := len(to_json(row.ground_truth).encode())) > LONGEST_TRUTH:
                raise RowError(f"a ground truth of {length:,} bytes, more than {LONGEST_TRUTH:,}")
            pack([row], [name], job.shape)
        except (UnicodeEncodeError, RowError) as error:
            reason = f"not UTF-8 text: {error}" if isinstance(error, UnicodeEncodeError) else str(error)
            part.rejects.append(Reject(str(chunk.path), line, reason, row=name))
        else:
            good.append((row, name, line))
    part.rejects.sort(key=lambda reject: reject.line)
    if good:
        _pack(good, split, job, chunk, part)


def _pack(kept: Sequence[NamedRow], split: Split, job: Job, chunk: Chunk, part: Part) -> bool:
    """Pack rows into a part, by shuffle buckets if they are shuffled; return False if a ground truth is too long."""
    import pyarrow.compute as pc

    counts: list[int] = []
    if job.shuffle is not None:
        kept, counts = job.shuffle.draw(kept, f"{split}:{chunk.name}:{chunk.first}")
    batch = pack([row for row, _, _ in kept], [name for _, name, _ in kept], job.shape)
    if job.shape == "rl" and pc.max(pc.binary_length(batch["ground_truth"])).as_py() > LONGEST_TRUTH:
        return False
    part.batches[split] = batch
    if counts:
        part.buckets[split] = counts
    return True
