"""A conversion job: what is converted and how. Jobs are sent to the worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import msgspec

from preprocess import converters
from preprocess.converters.base import Converter, Options
from preprocess.engine.splits import Split, find_files
from preprocess.errors import LeftOutError, RowError, SourceError
from preprocess.rows import Row, Shape
from preprocess.sources.reading import Chunk, Records, Unread, list_unread, pack_records, read_chunks

if TYPE_CHECKING:
    from preprocess.engine.shuffling import Shuffle
    from preprocess.engine.splits import SplitRule

Kind = Literal["rejected", "left_out", "contaminated", "held_out"]
KINDS: tuple[Kind, ...] = ("rejected", "left_out", "contaminated", "held_out")


@dataclass(frozen=True)
class Source:
    """Local files and the converter that reads them: a recipe's source after its hub name was downloaded."""

    converter: str
    source: Path
    limit: int | None = None
    """Use only this many records, from the beginning."""
    options: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    """The Python file of a user-defined converter."""
    split: Split | None = None
    """Use only the files whose names give this split; every name must give one."""


@dataclass(frozen=True)
class Reject:
    """A record, or one row of it, that is not among the rows, and why."""

    source: str
    line: int
    reason: str
    kind: Kind = "rejected"
    """rejected: it could not be converted, and counts towards max_rejects; left_out: excluded by an option; contaminated: it
    overlaps an evaluation set; held_out: its problem is among the validation rows."""
    row: str = ""
    """The row's name, if the record gave other rows."""

    @classmethod
    def from_error(cls, source: str, line: int, error: RowError) -> Reject:
        """Return the reject of a record whose conversion failed."""
        return cls(source, line, str(error), "left_out" if isinstance(error, LeftOutError) else "rejected")


class Filter(Protocol):
    """Leaves rows out."""

    by_name: ClassVar[bool]
    """Whether it knows rows by their names, which must then be different in a source."""

    def judge(self, row: Row, name: str) -> tuple[Kind, str] | None:
        """Return the kind and reason if the row called `name` is left out, else None."""
        ...


@dataclass(frozen=True)
class Job:
    """How the records of one source become rows."""

    source: Source
    shape: Shape
    rule: SplitRule
    filters: tuple[Filter, ...] = ()
    shuffle: Shuffle | None = None
    """How the rows are shuffled; None keeps their order."""
    number: int = 0
    """Its place among the jobs of a conversion."""

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
            try:
                rows = list(make(record, options))
                for row in rows:
                    row.check()
            except RecursionError:
                raise RowError("a value, program or test is nested too deeply") from None
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
        """Whether conversion waits for programs in the sandbox."""
        return self.converter.runs_programs or self.options.runs_programs(self.shape)

    def read(self) -> Iterator[Chunk]:
        """Return the source's chunks.

        Raises:
            SourceError: The source is missing or cannot be read; a converter, shape or option does not exist.
        """
        self.converter.make(self.shape)
        path, options, read = self.source.source, self.options, self.converter.read
        if read is not None:
            if self.source.split is not None:
                raise SourceError(f"converter {self.converter.name}: its sources have no split for validation")
            chunks = pack_records(read(path, options), path)
        else:
            chunks = read_chunks(path, find_files(path, self.source.split), self.columns)
        chunks = chunks if self.source.limit is None else _limit(chunks, self.source.limit)
        return chain(self.list_unread(), chunks)

    def list_unread(self) -> list[Unread]:
        """Return the files of the source that are not read, once if its files are divided into splits."""
        if self.converter.read is not None or self.source.split == "validation":
            return []
        return list_unread(self.source.source)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the cached properties, which another process computes itself."""
        return {name: vars(self)[name] for name in ("source", "shape", "rule", "filters", "shuffle", "number")}


def _limit(chunks: Iterable[Chunk], count: int) -> Iterator[Chunk]:
    for chunk in chunks:
        records = tuple(islice(chunk.read(), count))
        if records:
            yield Records(chunk.path, chunk.name, chunk.size, records[0].line, records)
        count -= len(records)
        if not count:
            return
