"""The converter: a name, its options, the record that it reads, and functions from a record to rows."""

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
    """Base class of a converter's options. Unknown options are refused; the string below an option is its documentation."""

    def runs_programs(self, shape: Shape) -> bool:
        """Return whether these options make rows of the shape run programs, in a converter that does not always do so."""
        return False


OptionsT = TypeVar("OptionsT", bound=Options)
RecordT = TypeVar("RecordT", bound=msgspec.Struct | dict[str, Any])


@dataclass(frozen=True)
class Converter(Generic[RecordT, OptionsT]):
    """Converts the records of one kind of source to rows."""

    name: str
    help: str
    """One line."""
    record: type[RecordT] | Callable[[OptionsT], type[RecordT]]
    """The columns that it reads, with their types; other columns are skipped. A function if options name the columns."""
    options: type[OptionsT]
    sft: Callable[[RecordT, OptionsT], Iterable[SftRow]] | None = None
    """Return the SFT rows of a record; raise RowError. None if the source has no answers."""
    rl: Callable[[RecordT, OptionsT], Iterable[RlRow]] | None = None
    """Return the RL rows of a record; raise RowError. None if the source has nothing to reward by."""
    read: Callable[[Path, OptionsT], Iterator[Record]] | None = None
    """Read the records of a source that is neither JSON nor parquet, as JSON texts; raise SourceError."""
    runs_programs: bool = False
    """Whether making rows runs programs in the sandbox: several records are then converted at a time, in threads."""

    @property
    def example(self) -> Path:
        """A small source, a file or a folder, for its page and its golden test: `programs.py` for `programs_code`."""
        examples = Path(__file__).with_name("examples").iterdir()
        named = [path for path in examples if self.name.startswith(path.name.partition(".")[0])]
        return max(named, key=lambda path: len(path.name.partition(".")[0]))

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of its rows."""
        sft: tuple[Shape, ...] = ("sft",) if self.sft else ()
        return (*sft, "rl") if self.rl else sft

    def make(self, shape: Shape) -> Callable[[RecordT, OptionsT], Iterable[SftRow | RlRow]]:
        """Return the function that makes rows of a shape.

        Raises:
            SourceError: it does not make such rows.
        """
        function = self.sft if shape == "sft" else self.rl
        if function is None:
            raise SourceError(f"converter {self.name} makes no {shape} rows, only {' and '.join(self.shapes)}")
        return function

    def find_record(self, options: OptionsT) -> type[RecordT]:
        """Return the columns that it reads with these options.

        Raises:
            SourceError: the options name a column twice.
        """
        try:
            return self.record if isinstance(self.record, type) else self.record(options)
        except ValueError as error:
            raise SourceError(f"converter {self.name}: {error}") from None

    def read_options(self, given: Mapping[str, Any]) -> OptionsT:
        """Check options.

        Raises:
            SourceError: an option is unknown or has a wrong value.
        """
        try:
            return parse_options(dict(given), self.options)
        except SourceError as error:
            raise SourceError(f"converter {self.name}: {error}") from None
