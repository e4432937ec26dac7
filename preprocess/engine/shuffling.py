"""Shuffling of rows by the seed alone, for files that need not fit into memory.

The process that converts a row draws one of a number of buckets on disk for it; each bucket is then shuffled in memory.
The result is as uniform as a shuffle of all rows.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from preprocess import atomic
from preprocess.engine.threads import map_in_threads
from preprocess.engine.writing import RowsFile
from preprocess.rows import Shape

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_BUCKET_BYTES = 8_000_000
_MOST_BUCKETS = 256
_BATCH_ROWS = 4096


@dataclass(frozen=True)
class Shuffle:
    """The seed and the number of buckets."""

    seed: int
    buckets: int

    @classmethod
    def of(cls, seed: int, expected_bytes: int) -> Shuffle:
        """Return a shuffle with enough buckets for rows of that size."""
        return cls(seed, min(_MOST_BUCKETS, 1 + expected_bytes // _BUCKET_BYTES))

    def draw(self, rows: Sequence[T], place: str) -> tuple[list[T], list[int]]:
        """Return the rows of one place bucket by bucket, and the number of rows in each bucket."""
        groups: list[list[T]] = [[] for _ in range(self.buckets)]
        chance = random.Random(f"{self.seed}:{place}")
        for row, group in zip(rows, chance.choices(groups, k=len(rows)), strict=True):
            group.append(row)
        return [row for group in groups for row in group], [len(group) for group in groups]


class ShuffledRows:
    """Collects packed rows and writes them to a file, shuffled, on `keep`."""

    def __init__(self, file: RowsFile, shuffle: Shuffle) -> None:
        self.file = file
        self._random = random.Random(f"{shuffle.seed}:{file.split}")
        self._folder = atomic.temporary_path(file.path.with_name(f"{file.path.name}.shuffle"))
        self._folder.mkdir()
        self._writers: list[pa.ipc.RecordBatchStreamWriter | None] = [None] * shuffle.buckets
        self.rows = 0

    def write(self, batch: pa.RecordBatch, counts: Sequence[int]) -> None:
        """Add packed rows, bucket by bucket; `counts` are the rows of each (`Shuffle.draw`)."""
        self.rows += batch.num_rows
        first = 0
        for bucket, count in enumerate(counts):
            if count:
                self._write(bucket, batch.slice(first, count))
            first += count

    def keep(self) -> None:
        """Finish the file and move it to its path.

        Raises:
            PrepareError: As `RowsFile.keep`.
        """
        for writer in self._writers:
            if writer is not None:
                writer.close()
        buckets = [self._path(bucket) for bucket, writer in enumerate(self._writers) if writer is not None]
        # The next buckets are shuffled while one is written: Arrow releases the GIL meanwhile.
        with map_in_threads(1) as map_:
            for batches in map_(_shuffle, [(path, self._random.getrandbits(32)) for path in buckets]):
                for batch in batches:
                    self.file.write(batch)
        self.file.keep()
        shutil.rmtree(self._folder)

    def discard(self) -> None:
        """Delete the rows unless they were kept."""
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


def open_rows(path: Path, shape: Shape, split: str, shuffle: Shuffle | None) -> RowsFile | ShuffledRows:
    """Return a new file of rows, shuffled if `shuffle` is given."""
    file = RowsFile(path, shape, split)
    return file if shuffle is None else ShuffledRows(file, shuffle)


def _shuffle(bucket: tuple[Path, int]) -> list[pa.RecordBatch]:
    """Return a bucket's rows in random order, and delete its file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    path, seed = bucket
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        table: pa.Table = stream.read_all().combine_chunks()
    path.unlink()
    order = pc.sort_indices(pc.random(table.num_rows, initializer=seed))
    starts = range(0, table.num_rows, _BATCH_ROWS)
    return [batch for start in starts for batch in table.take(order[start : start + _BATCH_ROWS]).to_batches()]
