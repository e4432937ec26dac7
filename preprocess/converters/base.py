"""What a converter is: a name, its options, how its source is read, and how a record becomes rows."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from preprocess.errors import RowError, SourceError
from preprocess.reading import Record, read_records
from preprocess.rows import RlRow, SftRow, Shape


class Options(BaseModel):
    """The base of a converter's options: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


OptionsT = TypeVar("OptionsT", bound=Options)

Fields = Mapping[str, Any]


def _read(source: Path, options: Options) -> Iterator[Record]:
    return read_records(source)


@dataclass(frozen=True)
class Converter(Generic[OptionsT]):
    """One kind of source, and the rows it becomes."""

    name: str
    help: str
    """One line."""
    options: type[OptionsT]
    sft: Callable[[Fields, OptionsT], Iterable[SftRow]] | None = None
    """A record -> its rows; raises RowError. None where the source has no answers to learn from."""
    rl: Callable[[Fields, OptionsT], Iterable[RlRow]] | None = None
    """A record -> its rows; raises RowError. None where the source has nothing to reward by."""
    columns: tuple[str, ...] = ()
    """What a record must have."""
    read: Callable[[Path, OptionsT], Iterator[Record]] = _read
    runs_programs: bool = False
    """Whether making rows waits for programs that run in the sandbox: several records are then converted at once."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes it makes."""
        made: list[Shape] = []
        if self.sft:
            made.append("sft")
        if self.rl:
            made.append("rl")
        return tuple(made)

    def make(self, shape: Shape) -> Callable[[Fields, OptionsT], Iterable[SftRow | RlRow]]:
        """The function that makes rows of a shape.

        Raises:
            SourceError: it makes none.
        """
        function = self.sft if shape == "sft" else self.rl
        if function is None:
            raise SourceError(f"converter {self.name} makes no {shape} rows, only {' and '.join(self.shapes)}")
        return function

    def read_options(self, given: Mapping[str, Any]) -> OptionsT:
        """Raises:
        SourceError: an option is unknown or has a wrong value.
        """
        try:
            return self.options.model_validate(dict(given))
        except ValidationError as error:
            raise SourceError(f"converter {self.name}: {describe(error, self.options.model_fields)}") from None


def describe(error: ValidationError, known: Iterable[str]) -> str:
    """The first thing wrong, in one line, with the nearest name where a name is unknown."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    if first["type"] == "extra_forbidden":
        return f"unknown {where!r}{nearest(str(first['loc'][-1]), known)}"
    return f"{where}: {first['msg'].lower()}, found {first['input']!r}"[:300]


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names) or 'none'}"


def get_text(fields: Fields, column: str) -> str:
    """A column that must hold text.

    Raises:
        RowError: it does not.
    """
    value = fields.get(column)
    if not isinstance(value, str):
        raise RowError(f"{column} is {type(value).__name__}, expected text")
    return value
