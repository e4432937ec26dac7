"""Rows in an order that the seed alone decides, for files that need not fit into memory.

Each row is drawn into one of some buckets on disk; each bucket is then shuffled in memory. That is as even as a shuffle of
the whole.
"""

from __future__ import annotations

import random
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.writing import RowsFile, hidden

if TYPE_CHECKING:
    import pyarrow as pa

_BUCKET_BYTES = 16_000_000
_MOST_BUCKETS = 256
_BATCH_ROWS = 4096


class ShuffledRows:
    """Takes packed rows in any number and gives them to a file, shuffled, when it is kept."""

    def __init__(self, file: RowsFile, seed: int, expected_bytes: int) -> None:
        self.file = file
        self._random = random.Random(f"{seed}:{file.split}")
        count = min(_MOST_BUCKETS, 1 + expected_bytes // _BUCKET_BYTES)
        self._folder = hidden(file.path.with_name(f"{file.path.name}.shuffle"))
        self._folder.mkdir()
        self._writers: list[pa.ipc.RecordBatchStreamWriter | None] = [None] * count
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds packed rows."""
        import pyarrow as pa

        self.rows += batch.num_rows
        if len(self._writers) == 1:
            self._write(0, batch)
            return
        places: list[list[int]] = [[] for _ in self._writers]
        for row, bucket in enumerate(self._random.choices(range(len(places)), k=batch.num_rows)):
            places[bucket].append(row)
        for bucket, rows in enumerate(places):
            if rows:
                self._write(bucket, batch.take(pa.array(rows, pa.int32())))

    def keep(self) -> None:
        """Puts the file in its place, with all rows.

        Raises:
            PrepareError: as `RowsFile.keep`.
        """
        for writer in self._writers:
            if writer is not None:
                writer.close()
        buckets = [self._path(bucket) for bucket, writer in enumerate(self._writers) if writer is not None]
        # While one bucket is written the next is shuffled: Arrow leaves Python's lock alone meanwhile.
        with ThreadPoolExecutor(1) as pool:
            shuffled: deque[Future[list[pa.RecordBatch]]] = deque()
            for path in [*buckets, None]:
                if path is not None:
                    shuffled.append(pool.submit(self._shuffle, path))
                if len(shuffled) > (path is not None):
                    for batch in shuffled.popleft().result():
                        self.file.write(batch)
        self.file.keep()
        shutil.rmtree(self._folder)

    def discard(self) -> None:
        """Removes what was not kept."""
        self.file.discard()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, bucket: int, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        writer = self._writers[bucket]
        if writer is None:
            writer = self._writers[bucket] = pa.ipc.new_stream(str(self._path(bucket)), batch.schema)
        writer.write_batch(batch)

    def _shuffle(self, path: Path) -> list[pa.RecordBatch]:
        import pyarrow as pa

        with pa.ipc.open_stream(str(path)) as stream:
            table: pa.Table = stream.read_all().combine_chunks()
        starts = range(0, table.num_rows, _BATCH_ROWS)
        order = pa.array(self._random.sample(range(table.num_rows), table.num_rows), pa.int32())
        path.unlink()
        return [batch for start in starts for batch in table.take(order[start : start + _BATCH_ROWS]).to_batches()]

    def _path(self, bucket: int) -> Path:
        return self._folder / f"{bucket}.arrow"
