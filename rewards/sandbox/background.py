"""The base class of both sandboxes, which runs everything in one event loop in a background thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from rewards.sandbox.base import SandboxError, Session
from rewards.sandbox.loops import Callbacks, Crossing
from rewards.sandbox.program import Execution, Limits, Program

T = TypeVar("T")
_CLOSED = "the sandbox is closed"


class Background:
    """Runs coroutines from any thread and any event loop in one loop.

    The thread starts with the first coroutine and ends with `close` or the process. After `close`, and in a process that
    was forked since the start, calls raise SandboxError.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._callbacks: dict[asyncio.AbstractEventLoop, Callbacks] = {}
        self._closed = False
        self._process = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Block until the coroutine is done; for callers outside an event loop."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("called from the sandbox's own thread, which would deadlock; await it instead")
        future = self._submit(coroutine)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise SandboxError(_CLOSED) from None
        except BaseException:
            # Ctrl-C while waiting. Has no effect on a future that is done.
            future.cancel()
            raise

    async def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await the coroutine from any loop. Cancelling the awaiting task cancels it."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        with self._lock:
            ours, theirs = self._start(coroutine), self._callbacks_of(loop)
            crossing = Crossing(coroutine, result, theirs)
            ours.add(crossing.start)
        try:
            return await result
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise SandboxError(_CLOSED) from None
            with self._lock:
                if not self._closed:
                    ours.add(crossing.cancel)
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel all coroutines, run `last` in the loop, and end the thread. A second call has no effect."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._loop is None or self._thread is None or self._is_forked():
                return
        asyncio.run_coroutine_threadsafe(_end(last), self._loop)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        # Under the lock, so that nothing is submitted to a loop that is about to stop.
        with self._lock:
            self._start(coroutine)
            assert self._loop is not None
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _start(self, coroutine: Coroutine[Any, Any, Any]) -> Callbacks:
        """Start the thread, if it has not started, and return the callbacks of its loop. Hold the lock for this."""
        if self._closed or self._is_forked():
            coroutine.close()
            forked = "the sandbox was opened before this process was forked; open another one in it"
            raise SandboxError(_CLOSED if self._closed else forked)
        if self._loop is None:
            self._process = os.getpid()
            # Of the same kind in every process: a trainer may have chosen another one as the default.
            self._loop = asyncio.SelectorEventLoop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        return self._callbacks_of(self._loop)

    def _callbacks_of(self, loop: asyncio.AbstractEventLoop) -> Callbacks:
        if loop not in self._callbacks:
            self._callbacks = {each: callbacks for each, callbacks in self._callbacks.items() if not each.is_closed()}
            self._callbacks[loop] = Callbacks(loop)
        return self._callbacks[loop]

    def _is_forked(self) -> bool:
        return self._loop is not None and self._process != os.getpid()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()


async def _end(last: Callable[[], Coroutine[Any, Any, None]]) -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    try:
        await last()
    finally:
        asyncio.get_running_loop().stop()


class Sandbox(ABC):
    """Runs untrusted programs. Usable from any thread and any event loop."""

    def __init__(self, name: str) -> None:
        self._background = Background(name)

    async def run(self, program: Program, limits: Limits | None = None) -> Execution:
        """Run one program in a fresh process. Raise SandboxError if the sandbox fails; a failing program does not raise."""
        return await self._background.wait(self._run(program, limits or Limits()))

    async def run_many(self, programs: Sequence[Program], limits: Limits | None = None) -> list[Execution]:
        """Run all programs, as many at once as there are workers. Results are in the order of the programs."""
        return await self._background.wait(self._run_many(programs, limits or Limits()))

    def run_blocking(self, program: Program, limits: Limits | None = None) -> Execution:
        """Run one program from code outside an event loop, in any thread."""
        return self._background.run(self._run(program, limits or Limits()))

    @abstractmethod
    async def open_session(self) -> Session:
        """Open a session without variables."""

    @abstractmethod
    def describe(self) -> list[tuple[str, str]]:
        """Return the isolation in force as (facility, description), for display."""

    def close(self) -> None:
        """End all workers and sessions."""
        self._background.close(self._close)

    async def _run_many(self, programs: Sequence[Program], limits: Limits) -> list[Execution]:
        tasks = [asyncio.ensure_future(self._run(program, limits)) for program in programs]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    @abstractmethod
    async def _run(self, program: Program, limits: Limits) -> Execution: ...

    @abstractmethod
    async def _close(self) -> None: ...
