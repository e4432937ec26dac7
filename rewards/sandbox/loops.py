"""A coroutine awaited in one event loop and run in another. Many that cross at the same time wake a loop once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any


class Callbacks:
    """Callbacks that other threads add for an event loop.

    `call_soon_threadsafe` wakes the loop for each callback: a system call, before which a thread gives up the interpreter.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_woken = False

    def add(self, callback: Callable[[], object]) -> None:
        """Have the loop call it soon; it must not raise.

        Raises:
            RuntimeError: the loop is closed.
        """
        self._waiting.append(callback)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._call_all)

    def _call_all(self) -> None:
        # Before the queue is empty: what is added after the last callback wakes the loop again.
        self._is_woken = False
        while self._waiting:
            self._waiting.popleft()()


class Crossing:
    """One coroutine that is awaited in a loop other than that in which it runs.

    Args:
        coroutine: what runs there.
        result: a future of the loop in which it is awaited.
        back: the callbacks of that loop.
    """

    __slots__ = ("_back", "_coroutine", "_result", "_task")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], result: asyncio.Future[Any], back: Callbacks) -> None:
        self._coroutine, self._result, self._back = coroutine, result, back
        self._task: asyncio.Task[Any] | None = None

    def start(self) -> None:
        """Start the coroutine, in the loop in which it runs."""
        self._task = asyncio.get_running_loop().create_task(self._coroutine)
        self._task.add_done_callback(self._hand_back)

    def cancel(self) -> None:
        """Cancel the coroutine, in the loop in which it runs."""
        assert self._task is not None  # callbacks are called in the order in which they were added
        self._task.cancel()

    def _hand_back(self, _: asyncio.Task[Any]) -> None:
        with suppress(RuntimeError):  # the loop has been closed, and with it what awaits the result
            self._back.add(self._deliver)

    def _deliver(self) -> None:
        assert self._task is not None
        # In any case: asyncio logs a failure that is never looked at.
        error = None if self._task.cancelled() else self._task.exception()
        if self._result.done():  # cancelled
            return
        if self._task.cancelled():
            self._result.cancel()
        elif error is not None:
            self._result.set_exception(error)
        else:
            self._result.set_result(self._task.result())
