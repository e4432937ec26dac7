"""`pipeline data show`."""

from __future__ import annotations

import json
import sys
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from pipelines.cli.data.convert import one_line_errors
from pipelines.console import tables
from pipelines.console.record_text import Line, render
from pipelines.errors import InputError
from preprocess.columns import schema
from preprocess.rows import Shape
from preprocess.sources.reading import list_files, read_chunks
from rewards.suggestions import did_you_mean, nearest_path

_BATCH_ROWS = 64
_INDENT = 2


Shown = tuple[str, Any]
"""`row 3` or `line 12`, and its columns; the text if it is not JSON."""


def show(file: Path, count: int, row: int | None, id_: str | None, *, full: bool) -> None:
    """Print the first `count` rows, or one row.

    Raises:
        InputError: the file or row does not exist, or the file has no rows.
    """
    if row is not None and id_ is not None:
        raise InputError("use either --row or --id")
    if not file.exists():
        raise InputError(f"file not found: {file}{nearest_path(file)}")
    with one_line_errors():
        shape = _find_shape(file)
        if id_ is not None:
            row = _find_id(file, shape, id_)
        found = _read_rows(file, row or 0) if shape else _read_records(file, row)
        shown = list(islice(found, count if row is None else 1))
    if not shown:
        raise InputError(f"{file} has no {'rows' if row is None else f'row {row}' if shape else f'line {row} with a record'}")
    for number, each in enumerate(shown):
        if number:
            print()
        _print(*each, full)
    if row is None and sys.stdout.isatty():
        print(f"\nmore: -n {2 * count}, --row N" + (", --id ID" if shape == "rl" else "") + (", --full" if not full else ""))


def _find_shape(file: Path) -> Shape | None:
    """Return the shape of the file's rows; None for a source."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.is_dir() or file.suffix != ".parquet":
        return None
    try:
        found = pq.read_schema(file).remove_metadata()
    except pa.ArrowException as error:
        raise InputError(f"{file} is not a parquet file: {error}") from None
    shapes: tuple[Shape, ...] = ("sft", "rl")
    return next((shape for shape in shapes if found == schema(shape)), None)


def _find_id(file: Path, shape: Shape | None, id_: str) -> int:
    """Return the index of the row with an id.

    Raises:
        InputError: no row has it; names the nearest id.
    """
    import pyarrow.parquet as pq

    if shape != "rl":
        raise InputError(f"the rows of {file} have no ids; use --row N")
    place, near = 0, list[str]()
    with pq.ParquetFile(file) as rows:
        for batch in rows.iter_batches(columns=["extra_info"]):
            ids = batch["extra_info"].field("id").to_pylist()
            if id_ in ids:
                return place + int(ids.index(id_))
            near = [*near, *ids][:10_000]
            place += len(ids)
    raise InputError(f"{file} has no row with the id {id_!r}{did_you_mean(id_, near) or f'; the first is {near[0]!r}'}")


def _read_rows(file: Path, first: int) -> Iterator[Shown]:
    """Yield the rows of a parquet file from an index; earlier row groups are not read."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as rows:
        ends = [*accumulate(rows.metadata.row_group(group).num_rows for group in range(rows.num_row_groups))]
        skipped = bisect(ends, first)
        place = ends[skipped - 1] if skipped else 0
        for batch in rows.iter_batches(_BATCH_ROWS, row_groups=[*range(skipped, len(ends))]):
            for index, fields in enumerate(batch.slice(max(0, first - place)).to_pylist(), max(first, place)):
                yield f"row {index}", fields
            place += batch.num_rows


def _read_records(file: Path, line: int | None) -> Iterator[Shown]:
    """Yield the records of a source, or that of one line."""
    files = list_files(file)
    for chunk in read_chunks(file, files):
        for record in chunk.read():
            if line is None or record.line == line:
                place = f"line {record.line}" if len(files) == 1 else f"{chunk.path}, line {record.line}"
                try:
                    yield place, json.loads(record.text)
                except ValueError:
                    yield place, record.text.decode("utf-8", "backslashreplace")


def _print(title: str, fields: Any, full: bool) -> None:
    info = fields.get("extra_info") if isinstance(fields, dict) else None
    if isinstance(info, dict) and info.get("id"):
        title += f"  {info['id']}"
    lines = [Line(title, 0, "title"), *render(fields, full=full)]
    if not sys.stdout.isatty():
        for line in lines:
            print((" " * _INDENT * line.depth + tables.escape_controls(line.text, keep="\t")).rstrip())
        return
    from rich.padding import Padding
    from rich.text import Text

    styles = {"title": "bold", "name": "cyan", "left out": "dim", "text": ""}
    console = tables.make_console()
    for line in lines:
        text = Text(tables.escape_controls(line.text.expandtabs(4)), style=styles[line.kind])
        console.print(Padding(text, (0, 0, 0, _INDENT * line.depth), expand=False))
