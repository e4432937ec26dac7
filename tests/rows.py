"""Files of rows for tests, written as the engine writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from preprocess.columns import pack
from preprocess.engine.writing import RowsFile
from preprocess.rows import Row, Shape


def write_rows(path: Path, rows: Sequence[Row], shape: Shape) -> None:
    """Writes training rows."""
    file = RowsFile(path, shape, "train")
    file.write(pack(rows, [""] * len(rows), shape))
    file.keep()
