"""Chunks converted on all cores, by processes or threads."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import chain
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, SpawnContext
from queue import SimpleQueue

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
        workers: _Workers | None = None
        for number, job in enumerate(jobs):
            chunks = job.read()
            if job.runs_programs:
                with map_in_threads(count_cores()) as map_:
                    yield from (convert_chunk(job, chunk, map_) for chunk in chunks)
                continue
            first = list(_take_small(chunks))
            if sum(chunk.size for chunk in first) < _SMALL_BYTES or count_cores() < 2:
                yield from (convert_chunk(job, chunk) for chunk in chain(first, chunks))
                continue
            if workers is None:
                workers = _Workers(jobs)
                stack.callback(workers.stop)
            with map_in_threads(count_cores()) as map_:
                yield from map_(partial(workers.convert, number), chain(first, chunks))


class _Workers:
    """Worker processes, each with its own pipe: one that is killed in the middle of a message cannot block the others."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        _keep_memory()
        gc.freeze()
        # A forked process has all imports already. But with other threads running, it could inherit a lock that is never
        # released. (Arrow restarts its own threads after a fork.)
        context: ForkContext | SpawnContext
        context = get_context("fork") if threading.active_count() == 1 else get_context("spawn")
        self._idle = SimpleQueue[Connection]()
        self._processes = []
        for _ in range(count_cores()):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(tuple(jobs), os.getpid(), theirs), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._idle.put(ours)

    def convert(self, number: int, chunk: Chunk) -> Part:
        """Convert a chunk of a job in an idle worker; for threads, one per worker."""
        worker = self._idle.get()
        try:
            worker.send((number, chunk))
            result: Part | Exception = worker.recv()
        except (EOFError, OSError):
            raise PrepareError("a process that converts rows was killed; is there too little memory?") from None
        finally:
            self._idle.put(worker)
        if isinstance(result, Exception):
            raise result
        return result

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.join()


def _take_small(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Yield the first chunks, up to the size that is worth starting processes."""
    size = 0
    while size < _SMALL_BYTES and (chunk := next(chunks, None)) is not None:
        size += chunk.size
        yield chunk


def _work(jobs: tuple[Job, ...], parent: int, connection: Connection) -> None:
    """Convert chunks in a worker process, which receives the jobs once, as their filters can be large."""
    _keep_memory()
    # Rows are created and deleted by the hundred thousand without cycles: collecting cycles would take a fifth of the time.
    gc.freeze()
    gc.set_threshold(200_000)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    end_with(parent)
    while True:
        number, chunk = connection.recv()
        try:
            result: Part | Exception = convert_chunk(jobs[number], chunk)
        except Exception as error:
            error.add_note(f"In a worker process:\n{traceback.format_exc()}")
            result = error
        connection.send(result)


def _keep_memory() -> None:
    """Keep freed memory in this process: each chunk needs it again, and page faults would take a fifth of the time."""
    import pyarrow as pa

    with suppress(AttributeError):  # the C library is not glibc
        for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, _KEPT_BYTES)
        pa.set_memory_pool(pa.system_memory_pool())
