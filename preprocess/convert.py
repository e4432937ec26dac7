"""The one loop: a chunk of a source's records into packed rows, and what could not be converted with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from preprocess import converters
from preprocess.columns import pack
from preprocess.converters.base import Converter, Options
from preprocess.decoding import MissingColumnError, explain
from preprocess.errors import LeftOutError, RowError, SourceError
from preprocess.reading import Chunk, Record, Records, pack_records, read_chunks
from preprocess.rows import LONGEST_TRUTH, RlRow, Row, Shape, to_json
from preprocess.splits import Split, find_files

if TYPE_CHECKING:
    import pyarrow as pa

    from preprocess.shuffling import Shuffle
    from preprocess.splits import SplitRule

Kind = Literal["rejected", "left_out", "contaminated", "held_out"]
Named = tuple[Row, str, int]
"""A row with its name and the line that it comes from."""
KINDS: tuple[Kind, ...] = ("rejected", "left_out", "contaminated", "held_out")


@dataclass(frozen=True)
class Source:
    """Records and the converter that reads them."""

    converter: str
    source: Path
    limit: int | None = None
    """Take this many records from the beginning."""
    options: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    """The Python file that has the converter, if it is one of the user's own."""
    split: Split | None = None
    """Take only the files whose names say that they are for this side; all must say one."""


@dataclass(frozen=True)
class Reject:
    """A record, or one row of it, that is not among the rows, and why."""

    source: str
    line: int
    reason: str
    kind: Kind = "rejected"
    """rejected: it could not be converted, and counts towards max_rejects; left_out: an option asked for it; contaminated: it
    overlaps an evaluation set; held_out: its problem is among the validation rows."""
    row: str = ""
    """The row, where the record gave others, too."""


class Filter(Protocol):
    """Keeps rows out."""

    def judge(self, row: Row, name: str) -> tuple[Kind, str] | None:
        """Why the row called `name` is to be left out; None if it is not."""
        ...


@dataclass(frozen=True)
class Job:
    """How the records of one source become rows. Sent to the processes that convert them."""

    source: Source
    shape: Shape
    rule: SplitRule
    filters: tuple[Filter, ...] = ()
    shuffle: Shuffle | None = None
    """How the rows are mixed; in their order if not said."""

    @cached_property
    def converter(self) -> Converter[Any, Any]:
        """The source's converter."""
        return converters.find(self.source.converter, self.source.file)

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """JSON text -> the converter's record; raises msgspec's errors."""
        return msgspec.json.Decoder(self.converter.find_record(self.options))

    @cached_property
    def make(self) -> Callable[[Any], list[Row]]:
        """A record -> its rows, checked; raises RowError."""
        make, options = self.converter.make(self.shape), self.options

        def make_rows(record: Any) -> list[Row]:
            rows = list(make(record, options))
            for row in rows:
                row.check()
            return rows

        return make_rows

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that the converter reads; empty: all."""
        kind = self.converter.find_record(self.options)
        return tuple(each.encode_name for each in msgspec.structs.fields(kind)) if issubclass(kind, msgspec.Struct) else ()

    @cached_property
    def options(self) -> Options:
        """The converter's options."""
        options: Options = self.converter.read_options(self.source.options)
        return options

    @cached_property
    def runs_programs(self) -> bool:
        """Whether making the rows waits for programs that run in the sandbox."""
        return self.converter.runs_programs or self.options.runs_programs(self.shape)

    def read(self) -> Iterator[Chunk]:
        """The source's chunks.

        Raises:
            SourceError: it is not there, or cannot be read; a converter, shape or option does not exist.
        """
        self.converter.make(self.shape)
        path, options, read = self.source.source, self.options, self.converter.read
        if read is not None:
            if self.source.split is not None:
                raise SourceError(f"converter {self.converter.name}: its sources do not say what is for validation")
            chunks = pack_records(read(path, options), path)
        else:
            chunks = read_chunks(path, find_files(path, self.source.split), self.columns)
        return chunks if self.source.limit is None else _limit(chunks, self.source.limit)

    def __getstate__(self) -> dict[str, Any]:
        """What was looked up is looked up anew in another process."""
        return {name: vars(self)[name] for name in ("source", "shape", "rule", "filters", "shuffle")}


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
            name = getattr(row, "id", "") or (_name(chunk, line, place) if place else f"{chunk.name}:{line}")
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
    from preprocess.parallel import several_at_once
    from preprocess.splits import Whole

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


def _limit(chunks: Iterable[Chunk], count: int) -> Iterator[Chunk]:
    for chunk in chunks:
        records = []
        for record in chunk.read():
            records.append(record)
            if len(records) == count:
                break
        if records:
            yield Records(chunk.path, chunk.name, chunk.size, records[0].line, tuple(records))
        count -= len(records)
        if not count:
            return
