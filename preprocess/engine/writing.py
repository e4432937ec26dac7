"""Parquet files of rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import atomic
from preprocess.columns import complete, schema
from preprocess.errors import PrepareError
from preprocess.prompts.fitting import FORMAT
from preprocess.rows import Shape

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 10_000
_GROUP_BYTES = 16_000_000


class RowsFile:
    """A parquet file of rows, written row group by row group; it appears on `keep`.

    It has no library's metadata, so older and newer readers see the same schema. The same rows in the same batches give the
    same bytes with the same pyarrow.
    """

    def __init__(self, path: Path, shape: Shape, split: str) -> None:
        self.path, self.shape, self.split = path, shape, split
        self.rows = 0
        self._temporary = atomic.temporary_path(path)
        self._writer: pa.parquet.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch, counts: Sequence[int] = ()) -> None:
        """Add packed rows (`columns.pack`); `counts` are for `ShuffledRows`."""
        self._waiting.append(complete(batch, self.shape, self.split, self.rows))
        self.rows += batch.num_rows
        waiting = self._waiting
        if sum(each.num_rows for each in waiting) >= _GROUP_ROWS or sum(each.nbytes for each in waiting) >= _GROUP_BYTES:
            self._flush()

    def keep(self) -> None:
        """Finish the file and move it to its path.

        Raises:
            PrepareError: Reading the file back gives other rows or columns.
        """
        import pyarrow.parquet as pq

        self._flush()
        if self._writer is not None:
            self._writer.close()
        found = pq.read_metadata(self._temporary)
        if found.num_rows != self.rows or found.schema.to_arrow_schema() != schema(self.shape):
            raise PrepareError(f"{self.path}: {found.num_rows} rows were read back of {self.rows}, or with other columns")
        atomic.publish(self._temporary, self.path)

    def discard(self) -> None:
        """Delete the file unless it was kept."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
        self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, schema(self.shape), **FORMAT)
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
            self._waiting = []
