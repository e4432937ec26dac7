"""Convert chunks with Ray Data on all machines of a cluster. Runs in verl's environment, which has Ray."""

from __future__ import annotations

import functools
import logging
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.engine.convert import Part, convert_chunk
from preprocess.engine.job import Job
from preprocess.engine.splits import find_files
from preprocess.errors import PrepareError
from preprocess.sources.reading import Chunk, FileLines, read_chunks
from rewards import sandbox

_BLOCK_BYTES = 16_000_000


@dataclass(frozen=True)
class Unit:
    """A task of one machine: a chunk of a plain file, or a file that can only be read from the beginning."""

    job: int
    chunk: Chunk | None = None
    file: Path | None = None
    """Without a chunk or file, the task is the whole source."""

    def read(self, job: Job) -> Iterator[Chunk]:
        """Return the chunks."""
        if self.chunk is not None:
            return iter([self.chunk])
        return job.read() if self.file is None else read_chunks(job.source.source, [self.file], job.columns)


def split_work(jobs: Sequence[Job]) -> Iterator[Unit]:
    """Yield the units of the jobs, in order.

    Raises:
        SourceError: A source, converter, shape or option does not exist.
    """
    for number, job in enumerate(jobs):
        first = next(job.read(), None)  # a mistake is raised here, not on another machine
        if first is None:
            continue
        if job.converter.read is not None or job.source.limit is not None:
            yield Unit(number)
            continue
        yield from (Unit(number, chunk=chunk) for chunk in job.list_unread())
        for file in find_files(job.source.source, job.source.split):
            chunks = read_chunks(job.source.source, [file])
            start = next(chunks, None)
            if isinstance(start, FileLines):
                yield Unit(number, chunk=start)
                yield from (Unit(number, chunk=chunk) for chunk in chunks)
            elif start is not None:
                yield Unit(number, file=file)


@functools.lru_cache(maxsize=1)
def _unpack(jobs: bytes) -> Sequence[Job]:
    """Unpickle the jobs once per process of the cluster."""
    unpacked: Sequence[Job] = pickle.loads(jobs)
    return unpacked


def _convert(row: dict[str, Any], jobs: bytes, settings: sandbox.Settings) -> Iterator[dict[str, Any]]:
    unit: Unit = pickle.loads(row["unit"])
    job = _unpack(jobs)[unit.job]
    sandbox.configure(settings)
    try:
        for chunk in unit.read(job):
            yield {"made": pickle.dumps(convert_chunk(job, chunk))}
    except Exception as error:  # Ray would wrap it in its own traceback
        yield {"made": pickle.dumps(error)}


def convert_on_ray(jobs: Sequence[Job], settings: sandbox.Settings) -> Iterator[Part]:
    """Convert as `preprocess.engine.parallel.convert_all`, on the cluster that this process is connected to.

    Raises:
        SourceError, SandboxError, PrepareError: As there; or the cluster failed.
    """
    import ray

    units = [{"unit": pickle.dumps(unit)} for unit in split_work(jobs)]
    if not units:
        return
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.target_max_block_size = _BLOCK_BYTES
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    made = ray.data.from_items(units, override_num_blocks=len(units)).flat_map(
        _convert, fn_kwargs={"jobs": pickle.dumps(tuple(jobs)), "settings": settings}, num_cpus=1
    )
    try:
        for row in made.iter_rows():
            part = pickle.loads(row["made"])
            if isinstance(part, Exception):
                raise part
            yield part
    except ray.exceptions.RayError as error:
        raise PrepareError(f"Ray: {str(error).splitlines()[0]}") from error
