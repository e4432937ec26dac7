"""The one loop: read a source, convert its records, check the rows, and keep what could not be converted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from preprocess import converters
from preprocess.converters.base import nearest
from preprocess.errors import LeftOutError, RowError, SourceError
from preprocess.reading import Record
from preprocess.rows import Row, Shape, to_json


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


def convert(sources: Iterable[Source], shape: Shape) -> Converted:
    """Converts all records of the sources, in order.

    Raises:
        SourceError: a source is not there, a converter, option or column does not exist.
    """
    result = Converted()
    for source in sources:
        converter = converters.find(source.converter)
        make, options = converter.make(shape), converter.read_options(source.options)
        for number, record in enumerate(islice(converter.read(source.source, options), source.limit)):
            if number == 0 and record.fields is not None:
                _check_columns(record, converter.columns)
            result.records += 1
            try:
                result.rows.extend(_convert_one(record, converter.columns, make, options))
            except RowError as error:
                result.rejects.append(Reject(record.source, record.line, str(error), isinstance(error, LeftOutError)))
    return result


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


def _check_columns(record: Record, columns: tuple[str, ...]) -> None:
    # The first record stands for its file: what it lacks is a mistake in the recipe, not a bad row.
    for column in columns:
        if column not in (record.fields or {}):
            raise SourceError(f"{record.source}:{record.line}: no column {column!r}{nearest(column, record.fields or {})}")
