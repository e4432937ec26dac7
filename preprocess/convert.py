"""The one loop: read a source, convert its records, check the rows, and keep what could not be converted."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from preprocess import converters
from preprocess.converters.base import nearest
from preprocess.errors import LeftOutError, RowError, SourceError
from preprocess.reading import Record
from preprocess.rows import Row, Shape, to_json

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Records and the converter that reads them."""

    converter: str
    source: Path
    limit: int | None = None
    """Take this many records from the beginning."""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reject:
    """A record that gave no rows, and why."""

    source: str
    line: int
    reason: str
    left_out: bool = False
    """An option asked for it; it does not count as a failure."""


@dataclass
class Converted:
    """What came of some sources."""

    records: int = 0
    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def add(self, made: list[Row] | Reject) -> None:
        """Counts what came of one record."""
        self.records += 1
        if isinstance(made, Reject):
            self.rejects.append(made)
        else:
            self.rows += made


def convert(sources: Iterable[Source], shape: Shape) -> Converted:
    """Converts all records of the sources, in order.

    Raises:
        SourceError: a source is not there, a converter, option or column does not exist.
        SandboxError: programs cannot be run.
    """
    result = Converted()
    for source in sources:
        for made in stream(source, shape):
            result.add(made)
    return result


def take_first(source: Source, shape: Shape, count: int) -> Converted:
    """Converts a source's records up to the one that gives the row number `count`.

    Raises:
        SourceError, SandboxError: as `convert`.
    """
    result = Converted()
    for made in stream(source, shape):
        result.add(made)
        if len(result.rows) >= count:
            break
    del result.rows[count:]
    return result


def stream(source: Source, shape: Shape) -> Iterator[list[Row] | Reject]:
    """What each record of a source gives, in order, made as it is asked for.

    Raises:
        SourceError, SandboxError: as `convert`.
    """
    converter = converters.find(source.converter)
    make, options = converter.make(shape), converter.read_options(source.options)

    def attempt(record: Record) -> list[Row] | Reject:
        try:
            return _convert_one(record, converter.columns, make, options)
        except RowError as error:
            return Reject(record.source, record.line, str(error), isinstance(error, LeftOutError))

    records = _check_first(islice(converter.read(source.source, options), source.limit), converter.columns)
    if converter.runs_programs:
        return _map_at_once(attempt, records, len(os.sched_getaffinity(0)))
    return map(attempt, records)


def _map_at_once(attempt: Callable[[Record], T], records: Iterable[Record], count: int) -> Iterator[T]:
    """The results in the order of the records, `count` of which are under way at one time."""
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for record in records:
                waiting.append(pool.submit(attempt, record))
                if len(waiting) > 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _convert_one(record: Record, columns: tuple[str, ...], make: Any, options: Any) -> list[Row]:
    if record.fields is None:
        raise RowError(record.broken)
    for column in columns:
        if column not in record.fields:
            raise RowError(f"no column {column!r}")
    rows: list[Row] = list(make(record.fields, options))
    for row in rows:
        row.check()
        _check_text(row)
    return rows


def _check_text(row: Row) -> None:
    try:
        to_json(row.to_record(0, "train")).encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(f"not UTF-8 text: {error}") from error


def _check_first(records: Iterable[Record], columns: tuple[str, ...]) -> Iterator[Record]:
    """The records, the first of which stands for its file: a column that it lacks is a mistake in the recipe, not a bad row."""
    for number, record in enumerate(records):
        if number == 0 and record.fields is not None:
            for column in columns:
                if column not in record.fields:
                    raise SourceError(f"{record.source}:{record.line}: no column {column!r}{nearest(column, record.fields)}")
        yield record
