"""Chunks converted on all cores, by processes or threads."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from typing import Any

from preprocess.engine.convert import Part, convert_chunk
from preprocess.engine.job import Job
from preprocess.engine.threads import count_cores, map_in_threads
from preprocess.errors import PrepareError
from preprocess.lifetime import end_with
from preprocess.sources.reading import Chunk

Convert = Callable[[Sequence[Job]], Iterator[Part]]
"""Converts the chunks of each job's source, in order: `convert_all`, or the same on a cluster."""

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64_000_000
_SMALL_BYTES = 3_000_000


def convert_all(jobs: Sequence[Job]) -> Iterator[Part]:
    """Convert the chunks of each job's source, in order.

    Processes are started only for sources that take longer than starting them: most sources are small.

    Raises:
        SourceError, SandboxError: As `convert_chunk`.
        PrepareError: A worker process was killed.
    """
    with ExitStack() as stack:
        pool: ProcessPoolExecutor | None = None
        for number, job in enumerate(jobs):
            chunks = job.read()
            if job.runs_programs:
                with map_in_threads() as map_:
                    yield from (convert_chunk(job, chunk, map_) for chunk in chunks)
                continue
            first = list(_take_small(chunks))
            if sum(chunk.size for chunk in first) < _SMALL_BYTES or count_cores() < 2:
                yield from (convert_chunk(job, chunk) for chunk in chain(first, chunks))
                continue
            if pool is None:
                pool = stack.enter_context(_start_pool(jobs))
            yield from _map_ordered(pool, number, chain(first, chunks))


@contextmanager
def _start_pool(jobs: Sequence[Job]) -> Iterator[ProcessPoolExecutor]:
    _keep_memory()
    gc.freeze()
    # A forked process has all imports already. But with other threads running, it could inherit a lock that is never
    # released. (Arrow restarts its own threads after a fork.)
    context = multiprocessing.get_context("fork" if threading.active_count() == 1 else "spawn")
    pool = ProcessPoolExecutor(count_cores(), context, _initialize, (tuple(jobs), os.getpid()))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take_small(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Yield the first chunks, up to the size that is worth starting processes."""
    size = 0
    while size < _SMALL_BYTES and (chunk := next(chunks, None)) is not None:
        size += chunk.size
        yield chunk


def _map_ordered(pool: ProcessPoolExecutor, number: int, chunks: Iterable[Chunk]) -> Iterator[Part]:
    waiting: deque[Future[Part]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_convert, number, chunk))
            # One running and one waiting per process; more would only take memory.
            if len(waiting) >= 2 * count_cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise PrepareError("a process that converts rows was killed; is there too little memory?") from None


_jobs: tuple[Job, ...] = ()


def _initialize(jobs: tuple[Job, ...], parent: int) -> None:
    """Initialize a worker process; it receives the jobs once, as their filters can be large."""
    global _jobs  # noqa: PLW0603 (an initializer can pass values only so)
    _jobs = jobs
    _keep_memory()
    # Rows are created and deleted by the hundred thousand without cycles: collecting cycles would take a fifth of the time.
    gc.freeze()
    gc.set_threshold(200_000)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the pool
    end_with(parent)


def _keep_memory() -> None:
    """Keep freed memory in this process: each chunk needs it again, and page faults would take a fifth of the time."""
    import pyarrow as pa

    with suppress(AttributeError):  # the C library is not glibc
        for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, _KEPT_BYTES)
        pa.set_memory_pool(pa.system_memory_pool())


def _convert(number: int, chunk: Chunk) -> Any:
    return convert_chunk(_jobs[number], chunk)
