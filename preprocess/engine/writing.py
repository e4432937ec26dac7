"""Writing files so that a reader finds the old one, the new one, or none: never half of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import atomic
from preprocess.columns import complete, schema
from preprocess.errors import PrepareError
from preprocess.rows import Shape

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 10_000
_GROUP_BYTES = 16_000_000
# Dictionaries and statistics of texts that never repeat take time and space, and nobody reads them.
_FORMAT: dict[str, Any] = {"compression": "zstd", "store_schema": False, "use_dictionary": False, "write_statistics": False}


class RowsFile:
    """A parquet file of rows, written row group by row group; it appears when it is kept.

    It bears no library's own metadata: older and newer readers see the same schema. The same rows in the same batches give
    the same bytes under the same pyarrow.
    """

    def __init__(self, path: Path, shape: Shape, split: str) -> None:
        self.path, self.shape, self.split = path, shape, split
        self.rows = 0
        self._temporary = atomic.temporary_path(path)
        self._writer: pa.parquet.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch, counts: Sequence[int] = ()) -> None:
        """Adds packed rows (`columns.pack`); `counts` are for `ShuffledRows`."""
        self._waiting.append(complete(batch, self.shape, self.split, self.rows))
        self.rows += batch.num_rows
        waiting = self._waiting
        if sum(each.num_rows for each in waiting) >= _GROUP_ROWS or sum(each.nbytes for each in waiting) >= _GROUP_BYTES:
            self._flush()

    def keep(self) -> None:
        """Puts the file in its place.

        Raises:
            PrepareError: what is read back is not what was written.
        """
        import pyarrow.parquet as pq

        self._flush()
        if self._writer is not None:
            self._writer.close()
        there = pq.read_metadata(self._temporary)
        if there.num_rows != self.rows or there.schema.to_arrow_schema() != schema(self.shape):
            raise PrepareError(f"{self.path}: {there.num_rows} rows were read back of {self.rows}, or with other columns")
        atomic.publish(self._temporary, self.path)

    def discard(self) -> None:
        """Removes what was not kept."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
        self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, schema(self.shape), **_FORMAT)
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
            self._waiting = []
