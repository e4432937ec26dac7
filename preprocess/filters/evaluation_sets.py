"""Reading the evaluation sets that no row may overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from preprocess import converters
from preprocess.engine.convert import stream
from preprocess.engine.job import Reject, Source
from preprocess.errors import SourceError
from preprocess.filters.contents import Contents, find_contents, take_apart
from preprocess.filters.decontamination import Decontamination
from preprocess.rows import RlRow, Row
from preprocess.sources.reading import Record, list_files, read_chunks

_NAMES = ("task_id", "question_id", "problem_id", "id", "name")


@dataclass(frozen=True)
class EvaluationSet:
    """An evaluation set, and how it is read."""

    source: Path
    converter: str | None = None
    """What reads it; without one, every text of each record is compared."""
    options: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    """The Python file that has the converter, if it is one of the user's own."""


def make_decontamination(sets: Iterable[EvaluationSet], ngram: int, share: float) -> Decontamination:
    """What keeps rows out that overlap the sets.

    Raises:
        SourceError: a set is not there, or a record of it cannot be read: it could not be compared.
        SandboxError: programs cannot be run.
    """
    made = Decontamination(ngram, share)
    for each in sets:
        name = each.source.name
        made.add(str(each.source) if name in made.sets else name, _read(each))
    return made


def _read(given: EvaluationSet) -> Iterator[tuple[str, Contents]]:
    if given.converter is None:
        for chunk in read_chunks(given.source, list_files(given.source)):
            for record in chunk.read():
                yield _read_raw(record, f"{chunk.path}:{record.line}")
        return
    # Rows for rl hold the solution beside the prompt.
    shapes = converters.find(given.converter, given.file).shapes
    source = Source(given.converter, given.source, options=given.options, file=given.file)
    for made in stream(source, "rl" if "rl" in shapes else "sft"):
        if not isinstance(made, Reject):
            yield from ((_name(row), take_apart(row)) for row in made)
        elif made.kind == "rejected":
            raise SourceError(
                f"decontaminate: {made.source}:{made.line}: {made.reason}; without a converter its texts are compared"
            )


def _name(row: Row) -> str:
    return row.id if isinstance(row, RlRow) else row.problem


def _read_raw(record: Record, place: str) -> tuple[str, Contents]:
    try:
        fields = msgspec.json.decode(record.text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SourceError(f"decontaminate: {place}: not JSON: {record.broken or error}") from None
    names = (fields.get(column) for column in _NAMES) if isinstance(fields, dict) else ()
    name = next((str(name) for name in names if isinstance(name, str | int)), str(record.line))
    return name, find_contents(list(_find_texts(fields)))


def _find_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _find_texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _find_texts(each)
