"""Writing files so that a reader finds the old one, the new one, or none: never half of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def write_text(path: Path, text: str) -> None:
    """Writes a text file."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    _replace(path, write)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Writes a parquet file without any library's own metadata: older and newer readers see the same schema.

    The same table gives the same bytes under the same pyarrow.
    """
    import pyarrow.parquet as pq

    def write(temporary: Path) -> None:
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd", store_schema=False)

    _replace(path, write)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
