"""Reading a source's records, one by one, each with the line it came from."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.errors import SourceError

_KINDS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")


@dataclass(frozen=True)
class Record:
    """One record of a source."""

    source: str
    line: int
    """Counted from 1; for JSON lists and parquet the place of the record."""
    fields: Mapping[str, Any] | None
    """None where the line could not be read; `broken` says why."""
    broken: str = ""


def read_records(source: Path) -> Iterator[Record]:
    """The records of a JSON, JSON-lines (either gzipped too) or parquet file, or of all such files in a folder.

    Raises:
        SourceError: there is no such file, or it is of another kind, or unreadable as a whole.
    """
    for path in list_files(source):
        if path.name.endswith(".parquet"):
            yield from _read_parquet(path)
        elif path.name.endswith((".json", ".json.gz")):
            yield from _read_json(path)
        else:
            yield from _read_lines(path)


def list_files(source: Path, kinds: tuple[str, ...] = _KINDS) -> list[Path]:
    """The source itself, or the files in it, by name.

    Raises:
        SourceError: there is none.
    """
    if not source.exists():
        raise SourceError(f"source {source} is not there")
    files = sorted(path for path in source.rglob("*") if path.name.endswith(kinds)) if source.is_dir() else [source]
    if not files or not files[0].name.endswith(kinds):
        raise SourceError(f"source {source}: expected {', '.join(kinds)}, or a folder with such files")
    return files


def read_text(path: Path) -> str:
    """A whole text file, gunzipped where its name says so.

    Raises:
        SourceError: it cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _read_lines(path: Path) -> Iterator[Record]:
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _to_record(path, number, line)
    except (OSError, EOFError) as error:
        raise SourceError(f"{path}: {error}") from error


def _to_record(path: Path, number: int, line: bytes) -> Record:
    try:
        fields = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return Record(str(path), number, None, f"not JSON: {error}")
    if not isinstance(fields, dict):
        return Record(str(path), number, None, f"a {type(fields).__name__}, expected an object")
    return Record(str(path), number, fields)


def _read_json(path: Path) -> Iterator[Record]:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, list):
        raise SourceError(f"{path}: a {type(content).__name__}, expected a list of objects")
    for number, fields in enumerate(content, 1):
        broken = "" if isinstance(fields, dict) else f"a {type(fields).__name__}, expected an object"
        yield Record(str(path), number, None if broken else fields, broken)


def _read_parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                for fields in batch.to_pylist():
                    number += 1
                    yield Record(str(path), number, fields)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: {error}") from error
