"""All cores at once: chunks converted by processes, or the records of a chunk by threads that wait for programs."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from typing import Any, TypeVar

from preprocess.engine.convert import Part, convert_chunk
from preprocess.engine.job import Job
from preprocess.errors import PrepareError
from preprocess.lifetime import end_with
from preprocess.sources.reading import Chunk

Convert = Callable[[Sequence[Job]], Iterator[Part]]
"""Jobs -> what comes of each chunk of their sources: `convert_all`, or what does the same elsewhere."""

T = TypeVar("T")
R = TypeVar("R")

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64_000_000
_SMALL_BYTES = 3_000_000


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def convert_all(jobs: Sequence[Job]) -> Iterator[Part]:
    """What comes of each chunk of each job's source, in order.

    Processes are started only for what takes longer than starting them: most sources are small.

    Raises:
        SourceError, SandboxError, PrepareError: as `convert_chunk`; a process was killed.
    """
    with ExitStack() as stack:
        pool: ProcessPoolExecutor | None = None
        for number, job in enumerate(jobs):
            chunks = job.read()
            if job.runs_programs:
                with several_at_once(True) as map_:
                    yield from (convert_chunk(job, chunk, map_) for chunk in chunks)
                continue
            first = list(_take_small(chunks))
            if sum(chunk.size for chunk in first) < _SMALL_BYTES or count_cores() < 2:
                yield from (convert_chunk(job, chunk) for chunk in chain(first, chunks))
                continue
            if pool is None:
                pool = stack.enter_context(_start(jobs))
            yield from _map_ordered(pool, number, chain(first, chunks))


@contextmanager
def several_at_once(wanted: bool) -> Iterator[Callable[[Callable[[T], R], Iterable[T]], Iterator[R]]]:
    """A `map` that has as many records under way as there are cores; a plain one where that is not wanted."""
    if not wanted:
        yield map
        return
    count = count_cores()
    with ThreadPoolExecutor(count) as pool:

        def map_several(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
            waiting: deque[Future[R]] = deque()
            try:
                for item in items:
                    waiting.append(pool.submit(function, item))
                    if len(waiting) > 2 * count:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

        yield map_several


@contextmanager
def _start(jobs: Sequence[Job]) -> Iterator[ProcessPoolExecutor]:
    _keep_memory()
    gc.freeze()
    # A forked process begins where this one is, with all imported; but where threads run, a lock may be held that none
    # there will ever release. (Arrow's own threads are begun anew after a fork.)
    context = multiprocessing.get_context("fork" if threading.active_count() == 1 else "spawn")
    pool = ProcessPoolExecutor(count_cores(), context, _receive, (tuple(jobs), os.getpid()))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take_small(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The first chunks, up to what is worth processes of its own."""
    size = 0
    while size < _SMALL_BYTES and (chunk := next(chunks, None)) is not None:
        size += chunk.size
        yield chunk


def _map_ordered(pool: ProcessPoolExecutor, number: int, chunks: Iterable[Chunk]) -> Iterator[Part]:
    waiting: deque[Future[Part]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_convert, number, chunk))
            # One under way and one waiting for each process; more would only take memory.
            if len(waiting) >= 2 * count_cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise PrepareError("a process that converts rows was killed; is there too little memory?") from None


_jobs: tuple[Job, ...] = ()


def _receive(jobs: tuple[Job, ...], parent: int) -> None:
    """Begins a process of the pool; the jobs come once, for their filters can be large."""
    global _jobs  # noqa: PLW0603 (a process of the pool has nothing else)
    _jobs = jobs
    _keep_memory()
    # Rows come and go by the hundred thousand and never refer to themselves: looking for what does takes a fifth of the time.
    gc.freeze()
    gc.set_threshold(200_000)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the pool
    end_with(parent)


def _keep_memory() -> None:
    """Lets this process keep what it frees: chunk after chunk needs it again, and a fifth of the time went into page faults."""
    import pyarrow as pa

    with suppress(AttributeError):  # another C library than glibc
        for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, _KEPT_BYTES)
        pa.set_memory_pool(pa.system_memory_pool())


def _convert(number: int, chunk: Chunk) -> Any:
    return convert_chunk(_jobs[number], chunk)
