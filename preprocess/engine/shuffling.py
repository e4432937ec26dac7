"""Rows in an order that the seed alone decides, for files that need not fit into memory.

Each row is drawn into one of some buckets on disk, by the process that converts it; each bucket is then shuffled in memory.
That is as even as a shuffle of the whole.
"""

from __future__ import annotations

import random
import shutil
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from preprocess import atomic
from preprocess.engine.writing import RowsFile

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_BUCKET_BYTES = 8_000_000
_MOST_BUCKETS = 256
_BATCH_ROWS = 4096
_AHEAD = 2


@dataclass(frozen=True)
class Shuffle:
    """How rows are mixed."""

    seed: int
    buckets: int

    @classmethod
    def of(cls, seed: int, expected_bytes: int) -> Shuffle:
        """With as many buckets as rows of that size need."""
        return cls(seed, min(_MOST_BUCKETS, 1 + expected_bytes // _BUCKET_BYTES))

    def draw(self, rows: Sequence[T], place: str) -> tuple[list[T], list[int]]:
        """The rows that come from one place, bucket after bucket, and how many are in each."""
        groups: list[list[T]] = [[] for _ in range(self.buckets)]
        chance = random.Random(f"{self.seed}:{place}")
        for row, group in zip(rows, chance.choices(groups, k=len(rows)), strict=True):
            group.append(row)
        return [row for group in groups for row in group], [len(group) for group in groups]


class ShuffledRows:
    """Takes packed rows in any number and gives them to a file, shuffled, when it is kept."""

    def __init__(self, file: RowsFile, shuffle: Shuffle) -> None:
        self.file = file
        self._random = random.Random(f"{shuffle.seed}:{file.split}")
        self._folder = atomic.temporary_path(file.path.with_name(f"{file.path.name}.shuffle"))
        self._folder.mkdir()
        self._writers: list[pa.ipc.RecordBatchStreamWriter | None] = [None] * shuffle.buckets
        self.rows = 0

    def write(self, batch: pa.RecordBatch, counts: Sequence[int]) -> None:
        """Adds packed rows, which stand bucket after bucket, so many in each (`Shuffle.draw`)."""
        self.rows += batch.num_rows
        first = 0
        for bucket, count in enumerate(counts):
            if count:
                self._write(bucket, batch.slice(first, count))
            first += count

    def keep(self) -> None:
        """Puts the file in its place, with all rows.

        Raises:
            PrepareError: as `RowsFile.keep`.
        """
        for writer in self._writers:
            if writer is not None:
                writer.close()
        buckets = [self._path(bucket) for bucket, writer in enumerate(self._writers) if writer is not None]
        # While one bucket is written the next ones are shuffled: Arrow leaves Python's lock alone meanwhile.
        with ThreadPoolExecutor(_AHEAD) as pool:
            shuffled: deque[Future[list[pa.RecordBatch]]] = deque()
            for path, seed in [(path, self._random.getrandbits(32)) for path in buckets] + [(None, 0)] * _AHEAD:
                if path is not None:
                    shuffled.append(pool.submit(_shuffle, path, seed))
                if len(shuffled) > _AHEAD or (path is None and shuffled):
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

    def _path(self, bucket: int) -> Path:
        return self._folder / f"{bucket}.arrow"


def _shuffle(path: Path, seed: int) -> list[pa.RecordBatch]:
    """The rows of a bucket in another order; its file is removed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        table: pa.Table = stream.read_all().combine_chunks()
    path.unlink()
    order = pc.sort_indices(pc.random(table.num_rows, initializer=seed))
    starts = range(0, table.num_rows, _BATCH_ROWS)
    return [batch for start in starts for batch in table.take(order[start : start + _BATCH_ROWS]).to_batches()]
