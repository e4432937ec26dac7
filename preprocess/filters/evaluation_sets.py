"""Read the evaluation sets of a decontamination."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from preprocess import converters
from preprocess.config import ComparedSet, Decontamination
from preprocess.engine.convert import stream
from preprocess.engine.job import Reject, Source
from preprocess.errors import SourceError
from preprocess.filters.contents import Contents, find_contents, row_contents
from preprocess.filters.decontamination import DecontaminationFilter
from preprocess.rows import RlRow
from preprocess.sources.reading import Record, list_files, list_unread, read_chunks

_DATA = (".csv", ".tsv", ".arrow", ".zst", ".xz", ".bz2", ".zip")
"""Files that hold texts to compare, unlike a README."""
_NAMES = ("task_id", "question_id", "problem_id", "id", "name")


def load_decontamination(config: Decontamination) -> DecontaminationFilter:
    """Return the filter of rows that overlap the configured sets.

    Raises:
        SourceError: A set is missing, or has a record that cannot be read and so not compared.
        SandboxError: Programs cannot be run.
    """
    result = DecontaminationFilter(config.ngram, config.share)
    for each in config.against:
        name = Path(each.source).name
        result.add(each.source if name in result.sets else name, _read(each))
    return result


def _read(given: ComparedSet) -> Iterator[tuple[str, Contents]]:
    path = Path(given.source)
    if unread := next((each for each in list_unread(path) if each.path.suffix.lower() in _DATA), None):
        raise SourceError(f"decontaminate: {unread.path} is {unread.reason}; convert it, or move it elsewhere")
    if given.converter is None:
        for chunk in read_chunks(path, list_files(path)):
            for record in chunk.read():
                yield _read_raw(record, f"{chunk.path}:{record.line}")
        return
    file = Path(given.file) if given.file else None
    source = Source(given.converter, path, options=given.options, file=file)
    # Rows for rl contain the solution and the prompt.
    shapes = converters.find(given.converter, file).shapes
    for made in stream(source, "rl" if "rl" in shapes else "sft"):
        if not isinstance(made, Reject):
            yield from ((row.id if isinstance(row, RlRow) else row.problem, row_contents(row)) for row in made)
        elif made.kind == "rejected":
            raise SourceError(
                f"decontaminate: {made.source}:{made.line}: {made.reason}; without a converter its texts are compared"
            )


def _read_raw(record: Record, place: str) -> tuple[str, Contents]:
    try:
        fields = msgspec.json.decode(record.text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"decontaminate: {place}: not JSON: {record.broken or error}") from None
    names = (fields.get(column) for column in _NAMES) if isinstance(fields, dict) else ()
    name = next((str(name) for name in names if isinstance(name, str | int)), str(record.line))
    return name, find_contents(list(_find_texts(fields)))


def _find_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _find_texts(each)
