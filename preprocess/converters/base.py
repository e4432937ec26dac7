"""What a converter is: a name, its options, the record it reads, and how a record becomes rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from preprocess.converters.options import parse_options
from preprocess.errors import SourceError
from preprocess.rows import RlRow, SftRow, Shape
from preprocess.sources.reading import Record


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of a converter's options: unknown ones are refused. The text below an option is shown as its meaning."""

    def runs_programs(self, shape: Shape) -> bool:
        """Whether rows made with these options wait for programs, although the converter's others do not."""
        return False


class NoOptions(Options, frozen=True):
    """There is nothing to choose."""


OptionsT = TypeVar("OptionsT", bound=Options)
RecordT = TypeVar("RecordT", bound=msgspec.Struct | dict[str, Any])


@dataclass(frozen=True)
class Converter(Generic[RecordT, OptionsT]):
    """One kind of source, and the rows it becomes."""

    name: str
    help: str
    """One line."""
    record: type[RecordT] | Callable[[OptionsT], type[RecordT]]
    """The columns that it reads, with their types; other columns are skipped unread. A function where options name them."""
    options: type[OptionsT]
    sft: Callable[[RecordT, OptionsT], Iterable[SftRow]] | None = None
    """A record -> its rows; raises RowError. None where the source has no answers to learn from."""
    rl: Callable[[RecordT, OptionsT], Iterable[RlRow]] | None = None
    """A record -> its rows; raises RowError. None where the source has nothing to reward by."""
    read: Callable[[Path, OptionsT], Iterator[Record]] | None = None
    """For sources that are no JSON or parquet: their records, as JSON texts. Raises SourceError."""
    runs_programs: bool = False
    """Whether making rows waits for programs that run in the sandbox: several records are then converted at once, in
    threads."""
    example_name: str = ""
    """Name of its example, where it shares another converter's."""

    @property
    def example(self) -> Path:
        """A small source of its kind, a file or a folder: shown in its page, converted by its golden test."""
        name = self.example_name or self.name
        return next(path for path in Path(__file__).with_name("examples").iterdir() if path.name.partition(".")[0] == name)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes it makes."""
        made: list[Shape] = []
        if self.sft:
            made.append("sft")
        if self.rl:
            made.append("rl")
        return tuple(made)

    def make(self, shape: Shape) -> Callable[[RecordT, OptionsT], Iterable[SftRow | RlRow]]:
        """The function that makes rows of a shape.

        Raises:
            SourceError: it makes none.
        """
        function = self.sft if shape == "sft" else self.rl
        if function is None:
            raise SourceError(f"converter {self.name} makes no {shape} rows, only {' and '.join(self.shapes)}")
        return function

    def find_record(self, options: OptionsT) -> type[RecordT]:
        """The columns that it reads with these options.

        Raises:
            SourceError: the options name a column twice.
        """
        try:
            return self.record if isinstance(self.record, type) else self.record(options)
        except ValueError as error:
            raise SourceError(f"converter {self.name}: {error}") from None

    def read_options(self, given: Mapping[str, Any]) -> OptionsT:
        """Raises:
        SourceError: an option is unknown or has a wrong value.
        """
        try:
            return parse_options(dict(given), self.options)
        except SourceError as error:
            raise SourceError(f"converter {self.name}: {error}") from None
