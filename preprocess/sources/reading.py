"""Read a source in chunks: a few MB of records that any process can convert, in any order.

A chunk of a plain file has only the position of its records, and the process that converts it reads them. Compressed files
and JSON lists can only be read from the beginning: their chunks have the text.
"""

from __future__ import annotations

import codecs
import gzip
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import msgspec

from preprocess.errors import SourceError
from preprocess.sources.beginnings import check_beginning
from preprocess.sources.json_lists import split_list

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
"""The endings of files that can be read, in lower or upper case."""

CHUNK_BYTES = 2_000_000
LONGEST_LINE = 64_000_000
_BUFFER_BYTES = 1_000_000
_MOST_ROWS = 4096
_PACKED = (".gz", ".zst", ".xz", ".bz2")


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of a source, as JSON text."""

    line: int
    """Counted from 1; for JSON lists and parquet the number of the record."""
    text: bytes
    broken: str = ""
    """The reason if there is no text."""
    path: str = ""
    """The file, if the converter reads its source itself."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive records of one file."""

    path: Path
    name: str
    """From `name_file`: the prefix of its rows' names."""
    size: int
    """Bytes of the file that the chunk takes."""
    first: int
    """Line of the first record, counted from 1."""

    def read(self) -> Iterator[Record]:
        """Yield the records.

        Raises:
            OSError, SourceError: The file cannot be read.
        """
        raise NotImplementedError

    def read_lines(self) -> bytes | None:
        """Return the text if it has one record per line, else None."""
        return None


@dataclass(frozen=True)
class Lines(Chunk):
    """Lines in memory."""

    data: bytes

    def read(self) -> Iterator[Record]:
        return _number(self.data, self.first)

    def read_lines(self) -> bytes:
        return self.data


@dataclass(frozen=True)
class FileLines(Chunk):
    """Lines of a plain file."""

    offset: int

    def read(self) -> Iterator[Record]:
        return _number(self.read_lines(), self.first)

    def read_lines(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True)
class Batch(Chunk):
    """Rows of a parquet file, in memory: a row group can be the whole file, and is decoded once."""

    batch: pa.RecordBatch

    def read(self) -> Iterator[Record]:
        for line, fields in enumerate(self.batch.to_pylist(), self.first):
            yield Record(line, msgspec.json.encode(fields))


@dataclass(frozen=True)
class Records(Chunk):
    """Records in memory, read by a converter itself."""

    records: tuple[Record, ...]

    def read(self) -> Iterator[Record]:
        return iter(self.records)


@dataclass(frozen=True)
class Unread(Chunk):
    """A file of a folder that is not read."""

    reason: str

    def read(self) -> Iterator[Record]:
        return iter(())


def read_chunks(source: Path, files: Iterable[Path], columns: Collection[str] = (), size: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Yield the chunks of a source's JSON, JSON-lines (both also gzipped) or parquet files.

    Args:
        columns: The columns to read of parquet files. Empty: all.

    Raises:
        SourceError: A file cannot be read.
    """
    for path in files:
        name = name_file(path, source)
        try:
            if path.name.lower().endswith(".parquet"):
                yield from _read_parquet(path, name, columns, size)
            elif _is_list(path):
                yield from _read_list(path, name, size)
            else:
                yield from _read_lines(path, name, size)
        except (OSError, EOFError) as error:
            raise SourceError(f"{path}: {error}") from error


def pack_records(records: Iterable[Record], source: Path, count: int = 64) -> Iterator[Chunk]:
    """Yield the records that a converter reads itself in chunks."""
    for file, group in groupby(records, key=lambda record: record.path):
        path = Path(file)
        while some := tuple(islice(group, count)):
            size = sum(len(record.text) for record in some)
            yield Records(path, name_file(path, source), size, some[0].line, some)


def list_files(source: Path, kinds: tuple[str, ...] = KINDS) -> list[Path]:
    """Return the source itself, or the files in it sorted by name, without hidden ones.

    Raises:
        SourceError: No file is found; a folder cannot be read, or has a link to nothing.
    """
    if not source.exists():
        raise SourceError(f"source {source} does not exist")
    files = [path for path in _walk(source) if path.name.lower().endswith(kinds)] if source.is_dir() else [source]
    if not files:
        others = ", ".join(sorted({path.suffix or path.name for path in _walk(source)})[:8])
        raise SourceError(f"source {source} has no {', '.join(kinds)} file{f'; found {others}' if others else ': it is empty'}")
    if not files[0].name.lower().endswith(kinds):
        raise SourceError(f"source {source}: expected {', '.join(kinds)}, or a folder with such files")
    return files


def list_unread(source: Path, kinds: tuple[str, ...] = KINDS) -> list[Unread]:
    """Return the files of a folder, without hidden ones, that `list_files` leaves out.

    Raises:
        SourceError: As `list_files`.
    """
    if not source.is_dir():
        return []
    paths = [path for path in _walk(source) if not path.name.lower().endswith(kinds)]
    return [Unread(path, path.name, path.stat().st_size, 0, _explain_unread(path, kinds)) for path in paths]


def _explain_unread(path: Path, kinds: Collection[str]) -> str:
    ending = "".join(path.suffixes[-2:] if path.suffix.lower() in _PACKED else path.suffixes[-1:])
    return f"not read: {f'a {ending} file' if ending else 'a file without an ending'}, expected {', '.join(kinds)}"


def _walk(folder: Path) -> list[Path]:
    """Return all files of a folder sorted by name, without hidden ones; folders that are links are followed.

    Raises:
        SourceError: A folder cannot be read, or is linked twice; a link points to nothing.
    """

    def fail(error: OSError) -> None:
        raise SourceError(f"{error.filename}: {error.strerror}") from error

    found, seen = [], {folder.resolve()}
    for place, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        here = Path(place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (here / name for name in folders):
            if path.resolve() in seen:
                raise SourceError(f"{path}: the same folder as {path.resolve()}, whose files would be read twice")
            seen.add(path.resolve())
        for path in (here / name for name in names if not name.startswith(".")):
            if path.is_symlink() and not path.exists():
                raise SourceError(f"{path}: a link to {path.readlink()}, which does not exist")
            if path.is_file():
                found.append(path)
    return sorted(found)


def name_file(path: Path, source: Path) -> str:
    """Return the file's path in its source without its ending; with it if another file would have the same name."""
    relative = path.relative_to(source) if path != source else Path(path.name)
    name = relative.name
    ending = next((kind for kind in KINDS if name.endswith(kind)), relative.suffix)
    short = name.removesuffix(ending)
    others = KINDS[: KINDS.index(ending)] if ending in KINDS and path != source else ()
    is_upper = ending not in KINDS and name.lower().endswith(KINDS)
    if not short or is_upper or any(path.with_name(short + kind).is_file() for kind in others):
        return str(relative)
    return str(relative.with_name(short))


def measure(source: Path) -> int:
    """Return the bytes of all files of the source."""
    files = source.rglob("*") if source.is_dir() else [source]
    return sum(path.stat().st_size for path in files if path.is_file())


def read_text(path: Path) -> str:
    """Read a text file, which may be gzipped.

    Raises:
        SourceError: It cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _number(data: bytes, first: int) -> Iterator[Record]:
    # Split only at \n: JSON strings may contain other separators.
    for line, text in enumerate(data.split(b"\n"), first):
        if text and not text.isspace():
            yield Record(line, text)


@contextmanager
def _open(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Yield a file, and the same file unpacked if it is gzipped."""
    with path.open("rb") as raw:
        yield raw, cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if path.name.lower().endswith(".gz") else raw


def _read_lines(path: Path, name: str, size: int) -> Iterator[Chunk]:
    with _open(path) as (raw, file):
        first, offset, before = 1, 0, 0
        while data := _read_whole_lines(file, size, f"{path}:{first}"):
            if file is raw:
                yield FileLines(path, name, len(data), first, offset)
                offset += len(data)
            else:
                yield Lines(path, name, raw.tell() - before, first, data)
                before = raw.tell()
            first += data.count(b"\n")


def _read_whole_lines(file: IO[bytes], size: int, place: str) -> bytes:
    data = file.read(size)
    if data and not data.endswith(b"\n"):
        rest = file.readline(LONGEST_LINE)
        if len(rest) == LONGEST_LINE:
            raise SourceError(f"{place}: one of the next lines has more than {LONGEST_LINE:,} bytes")
        data += rest
    return data


def _is_list(path: Path) -> bool:
    """Return whether the file is a JSON list, by its content: many lists are named .jsonl, and vice versa.

    Raises:
        SourceError: It is neither that nor JSON lines.
    """
    with _open(path) as (_, file):
        beginning = file.read(65536)
    check_beginning(path, beginning)
    return beginning.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["


def _read_list(path: Path, name: str, size: int) -> Iterator[Chunk]:
    with _open(path) as (raw, file):
        first, before, waiting, length = 1, 0, list[bytes](), 0
        for text in split_list(file, path):
            waiting.append(text)
            length += len(text)
            if length >= size:
                yield Lines(path, name, raw.tell() - before, first, b"\n".join(waiting))
                first, before, waiting, length = first + len(waiting), raw.tell(), [], 0
        if waiting:
            yield Lines(path, name, raw.tell() - before, first, b"\n".join(waiting))


def _read_parquet(path: Path, name: str, columns: Collection[str], size: int) -> Iterator[Chunk]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Without buffers for whole columns, which can be the whole file.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
            rows, length = file.metadata.num_rows, path.stat().st_size
            # If one is missing, read all: the error message lists them.
            kept = list(columns) if columns and set(columns) <= set(file.schema_arrow.names) else None
            if twice := next((each for each, count in Counter(file.schema_arrow.names).items() if count > 1), None):
                raise SourceError(f"{path}: two columns are called {twice!r}")
            unpacked = sum(file.metadata.row_group(number).total_byte_size for number in range(file.metadata.num_row_groups))
            count = min(_MOST_ROWS, max(1, size * rows // max(1, unpacked)))
            first = 1
            for batch in file.iter_batches(count, columns=kept):
                texts = _decode_texts(batch, columns, path)
                yield Batch(path, name, length * batch.num_rows // rows, first, texts)
                first += batch.num_rows
    except pa.ArrowException as error:
        raise SourceError(f"{path}: {error}") from error


def _decode_texts(batch: pa.RecordBatch, columns: Collection[str], path: Path) -> pa.RecordBatch:
    """Return a batch whose binary columns are texts, as some writers do not mark texts as such.

    Raises:
        SourceError: A column that is read is not UTF-8.
    """
    import pyarrow as pa

    for number, field in enumerate(batch.schema):
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            try:
                batch = batch.set_column(number, field.name, batch.column(number).cast(pa.large_string()))
            except pa.ArrowInvalid:
                if field.name in columns:
                    raise SourceError(f"{path}: column {field.name!r} is binary and not UTF-8 text") from None
    return batch
