"""The one loop: a chunk of a source's records into packed rows, and what could not be converted with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.columns import pack
from preprocess.engine.job import Filter, Job, Kind, Reject, Source
from preprocess.engine.splits import Split
from preprocess.errors import LeftOutError, RowError, SourceError
from preprocess.rows import LONGEST_TRUTH, RlRow, Row, Shape, to_json
from preprocess.sources.decoding import MissingColumnError, explain
from preprocess.sources.reading import Chunk, Record

if TYPE_CHECKING:
    import pyarrow as pa

Named = tuple[Row, str, int]
"""A row with its name and the line that it comes from."""


@dataclass
class Part:
    """What came of one chunk."""

    path: Path
    """The file."""
    size: int
    """Bytes of the source that it stands for."""
    records: int = 0
    batches: dict[Split, pa.RecordBatch] = field(default_factory=dict)
    """The rows of each split that has some, packed."""
    buckets: dict[Split, list[int]] = field(default_factory=dict)
    """Where rows are mixed: how many of a split's rows are in each bucket, which follow each other."""
    rejects: list[Reject] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    """Digests of the problems, as far as the rule needs them."""


def convert_chunk(job: Job, chunk: Chunk, map_: Callable[..., Iterable[Any]] = map) -> Part:
    """Converts a chunk's records, in order.

    Args:
        map_: `map`, or one that converts several at once.

    Raises:
        SourceError: a converter, option or column does not exist, or the file cannot be read.
        SandboxError: programs cannot be run.
    """
    part = Part(chunk.path, chunk.size)
    rows: dict[Split, list[Named]] = {"train": [], "validation": []}
    digests: set[bytes] = set()
    rule, filters = job.rule, job.filters
    for line, made in _attempt(job, chunk, map_):
        part.records += 1
        if isinstance(made, Reject):
            part.rejects.append(made)
            continue
        for place, row in enumerate(made):
            name = getattr(row, "id", "") or _name(chunk, line, place)
            digest = rule.digest(row.problem)
            split = rule.choose(digest)
            verdict = _judge(row, name, filters) if filters else None
            if verdict is None and split is not None:
                digests.add(digest)
                rows[split].append((row, name, line))
            else:
                kind, reason = verdict or ("held_out", "its problem is among the validation rows")
                part.rejects.append(Reject(str(chunk.path), line, reason, kind, name))
    for split, kept in rows.items():
        if kept:
            _pack_all(kept, split, job, chunk, part)
    part.digests = job.rule.report(digests)
    return part


@dataclass
class Converted:
    """What came of some sources, in memory."""

    records: int = 0
    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def convert(sources: Iterable[Source], shape: Shape) -> Converted:
    """Converts all records of the sources, in order, in memory: for sources that are small.

    Raises:
        SourceError: a source is not there, a converter, option or column does not exist.
        SandboxError: programs cannot be run.
    """
    result = Converted()
    for source in sources:
        for made in stream(source, shape):
            _add(result, made)
    return result


def take_first(source: Source, shape: Shape, count: int) -> Converted:
    """Converts a source's records up to the one that gives the row number `count`.

    Raises:
        SourceError, SandboxError: as `convert`.
    """
    result = Converted()
    for made in stream(source, shape):
        _add(result, made)
        if len(result.rows) >= count:
            break
    del result.rows[count:]
    return result


def stream(source: Source, shape: Shape) -> Iterator[list[Row] | Reject]:
    """What each record of a source gives, in order, made as it is asked for; rows without a name of their own get theirs.

    Raises:
        SourceError, SandboxError: as `convert`.
    """
    from preprocess.engine.parallel import several_at_once
    from preprocess.engine.splits import Whole

    job = Job(source, shape, Whole("train"))
    with several_at_once(job.runs_programs) as map_:
        for chunk in job.read():
            for line, made in _attempt(job, chunk, map_):
                if isinstance(made, Reject):
                    yield made
                else:
                    yield [_named(row, _name(chunk, line, place)) for place, row in enumerate(made)]


def _named(row: Row, name: str) -> Row:
    return msgspec.structs.replace(row, id=name) if isinstance(row, RlRow) and not row.id else row


def _name(chunk: Chunk, line: int, place: int) -> str:
    """What a row is called that has no name of its own: its file and line, and its place where a record gives several."""
    return f"{chunk.name}:{line}/{place}" if place else f"{chunk.name}:{line}"


def _judge(row: Row, name: str, filters: Iterable[Filter]) -> tuple[Kind, str] | None:
    return next((found for each in filters if (found := each.judge(row, name))), None)


def _add(result: Converted, made: list[Row] | Reject) -> None:
    result.records += 1
    if isinstance(made, Reject):
        result.rejects.append(made)
    else:
        result.rows += made


def _attempt(job: Job, chunk: Chunk, map_: Callable[..., Iterable[Any]]) -> Iterator[tuple[int, list[Row] | Reject]]:
    """Each record's line and what came of it."""
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

    # A record's rows are looked at as soon as they are made.
    yield from map_(attempt, chunk.read())


def _decode_all(job: Job, chunk: Chunk) -> list[Any] | None:
    """The records of a chunk that has one on each line and no bad one: nearly all chunks, read at once."""
    data = chunk.read_lines()
    if data is None:
        return None
    try:
        records: list[Any] = job.decoder.decode_lines(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    return records if len(records) == lines else None


def _decode(job: Job, record: Record) -> Any:
    if record.broken:
        raise RowError(record.broken)
    try:
        return job.decoder.decode(record.text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return explain(record.text, job.converter.find_record(job.options), error)


def _reject(chunk: Chunk, line: int, error: RowError) -> Reject:
    if isinstance(error, MissingColumnError) and line == 1:
        # A column that the first record lacks is a mistake in the recipe, not a bad row.
        raise SourceError(f"{chunk.path}:1: {error}") from None
    return Reject(str(chunk.path), line, str(error), "left_out" if isinstance(error, LeftOutError) else "rejected")


def _pack_all(kept: Sequence[Named], split: Split, job: Job, chunk: Chunk, part: Part) -> None:
    """Packs rows into a part; those whose text or ground truth cannot be written become rejects."""
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


def _pack(kept: Sequence[Named], split: Split, job: Job, chunk: Chunk, part: Part) -> bool:
    """Packs rows, mixed if they are to be; False if one is too long."""
    counts: list[int] = []
    if job.shuffle is not None:
        kept, counts = job.shuffle.draw(kept, f"{split}:{chunk.name}:{chunk.first}")
    batch = pack([row for row, _, _ in kept], [name for _, name, _ in kept], job.shape)
    if job.shape == "rl" and _is_too_long(batch):
        return False
    part.batches[split] = batch
    if counts:
        part.buckets[split] = counts
    return True


def _is_too_long(batch: pa.RecordBatch) -> bool:
    import pyarrow.compute as pc

    longest = pc.max(pc.binary_length(batch["ground_truth"])).as_py()
    return longest is not None and longest > LONGEST_TRUTH
