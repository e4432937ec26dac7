"""One event loop in a thread of its own: what lets a sandbox be used from any thread and any event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from rewards.sandbox.base import SandboxError

T = TypeVar("T")


class Background:
    """Runs coroutines in its own loop; the thread starts with the first one and ends with `close` or the process.

    A process that is forked after that has no such thread, and is refused.
    """

    def __init__(self, name: str = "sandbox") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._process = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Blocks until the coroutine is done, for callers outside an event loop.

        Raises:
            SandboxError: this is closed, or was closed meanwhile; or this process was forked since.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("called from the sandbox's own thread, which would wait for itself; await it instead")
        future = self._submit(coroutine)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise _closed() from None
        except BaseException:
            # Ctrl-C while waiting: nobody will ask for the result. Does nothing to a future that is done.
            future.cancel()
            raise

    async def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Awaits the coroutine from any loop; cancelling the awaiting task cancels it.

        Raises:
            SandboxError: this is closed, or was closed meanwhile.
        """
        future = self._submit(coroutine)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise _closed() from None
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Cancels what runs, runs `last` in the loop, ends the thread and waits for its end. Again: does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._is_forked():
                return
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_end(last), loop)
        if thread is not threading.current_thread():
            thread.join()

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        # Under the lock, so that nothing is handed to a loop that is about to stop.
        with self._lock:
            if self._closed:
                coroutine.close()
                raise _closed()
            if self._is_forked():
                coroutine.close()
                raise SandboxError("the sandbox was opened before this process was forked; open another one in it")
            if self._loop is None:
                self._process = os.getpid()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _is_forked(self) -> bool:
        return self._loop is not None and self._process != os.getpid()


def _closed() -> SandboxError:
    return SandboxError("the sandbox is closed")


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _end(last: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    try:
        if last is not None:
            await last()
    finally:
        asyncio.get_running_loop().stop()
