"""Write files of rows for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from preprocess.columns import pack
from preprocess.engine.writing import RowsFile
from preprocess.rows import Row, Shape


def write_rows(path: Path, rows: Sequence[Row], shape: Shape) -> None:
    """Write training rows to a parquet file."""
    file = RowsFile(path, shape, "train")
    file.write(pack(rows, [""] * len(rows), shape))
    file.keep()
