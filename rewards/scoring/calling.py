"""Calling a reward's function so that it can neither hold up the others nor end the process.

Two ways, one for each of verl's: `call_in_loop` is awaited by the reward managers that await (naive, dapo, gdpo,
rate_limited); `call_blocking` is for those that call from a thread or an actor's main thread (remote).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import os
import signal
import threading
import weakref
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from rewards.registry import BUILT_IN, Reward

Call = Callable[[Reward, Mapping[str, Any], float], Any]
"""`(reward, arguments, seconds)` -> a coroutine of what the reward returned. Raises what it raised, or TookTooLongError."""

# Calls of plugins at once in one event loop. Time is counted once a call has begun: a thousand rows that wait for each
# other's turn in the sandbox have not taken too long.
_AT_ONCE = 32


class TookTooLongError(Exception):
    """A reward was not done within its time; one line."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not done after {seconds:g} s")


class _AlarmError(BaseException):
    """In the main thread: the time is up. No `except Exception` of a reward's takes it for its own."""


async def call_in_loop(reward: Reward, arguments: Mapping[str, Any], seconds: float) -> Any:
    """Awaits an async reward; runs any other in a thread, so that the loop goes on. A thread that hangs is left behind.

    Built-in rewards have no limit here: they await programs, each of which has limits of its own.
    """
    if reward.source == BUILT_IN and reward.is_async:
        return await reward.function(**arguments)
    async with _slots(asyncio.get_running_loop()):
        if reward.is_async:
            return await _await(reward.function(**arguments), seconds)
        # Not under asyncio.timeout, which would cancel the wait for a result that has come in the meantime.
        result = await _in_thread(reward, arguments, seconds)
        return await _await(result, seconds) if inspect.isawaitable(result) else result


async def call_blocking(reward: Reward, arguments: Mapping[str, Any], seconds: float) -> Any:
    """The same without a loop around it: this coroutine never waits (see `finish`).

    In the main thread a reward that is not async runs in place, since such callers look for a thread that may have
    signals; elsewhere in a thread of its own, which is left behind if it hangs.
    """
    if reward.is_async:
        return _on_own_loop(call_in_loop(reward, arguments, seconds))
    if threading.current_thread() is threading.main_thread():
        result = _under_alarm(functools.partial(reward.function, **arguments), seconds)
    else:
        done = threading.Event()
        outcome = _start(reward, arguments, done.set)
        if not done.wait(seconds):
            raise TookTooLongError(seconds)
        result = _take(outcome)
    return _on_own_loop(_await(result, seconds)) if inspect.isawaitable(result) else result


def finish(coroutine: Any) -> Any:
    """Runs a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


async def _await(awaitable: Any, seconds: float) -> Any:
    # In this very task: what an awaited function raises, SystemExit too, must not pass through a task of its own, which
    # would let it end the loop.
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        if limit.expired():
            raise TookTooLongError(seconds) from None
        raise


async def _in_thread(reward: Reward, arguments: Mapping[str, Any], seconds: float) -> Any:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def mark() -> None:
        if not done.done():
            done.set_result(None)

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before a reward that took too long
            loop.call_soon_threadsafe(mark)

    outcome = _start(reward, arguments, tell)
    waited, _ = await asyncio.wait([done], timeout=seconds)
    if not waited:
        raise TookTooLongError(seconds)
    return _take(outcome)


def _start(reward: Reward, arguments: Mapping[str, Any], tell: Callable[[], object]) -> list[tuple[bool, Any]]:
    """Runs the function in a daemon thread, which no exit of the process waits for; where its outcome will be."""
    outcome: list[tuple[bool, Any]] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.append((True, context.run(reward.function, **arguments)))
        except BaseException as error:
            outcome.append((False, error))
        finally:
            tell()

    threading.Thread(target=run, name=f"reward {reward.name}", daemon=True).start()
    return outcome


def _take(outcome: list[tuple[bool, Any]]) -> Any:
    returned, value = outcome[0]
    if returned:
        return value
    raise value


def _under_alarm(function: Callable[[], Any], seconds: float) -> Any:
    """In the main thread. A reward that sets an alarm of its own has that one instead."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise _AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return function()
    except _AlarmError:
        raise TookTooLongError(seconds) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


def _slots(loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    if loop not in _loops:
        _loops[loop] = asyncio.Semaphore(_AT_ONCE)
    return _loops[loop]


def _on_own_loop(coroutine: Any) -> Any:
    async def guarded() -> tuple[bool, Any]:
        # SystemExit in a task would end the loop, and with it every other row's reward.
        try:
            return True, await coroutine
        except BaseException as error:
            return False, error

    return _take([asyncio.run_coroutine_threadsafe(guarded(), _own_loop()).result()])


_starting = threading.Lock()


def _own_loop() -> asyncio.AbstractEventLoop:
    with _starting:
        return _start_loop(os.getpid())


@functools.cache
def _start_loop(process: int) -> asyncio.AbstractEventLoop:
    """One event loop for the process, in a thread of its own: what async rewards keep open lives as long as it.

    A process forked from this one has no such thread, and starts its own.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="rewards", daemon=True).start()
    return loop
