"""Call a reward's function so that it cannot block other rows or end the process.

`call_in_loop` is for verl's reward managers that await the result (naive, dapo, gdpo, rate_limited), `call_blocking` for the
one that calls from a thread or an actor's main thread (remote).
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
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import FrameType
from typing import Any

from rewards.registry import BUILT_IN, Reward

Call = Callable[[Reward, Mapping[str, Any], float], Any]
"""`(reward, arguments, seconds)` -> a coroutine of the function's result. Raises its error, or RewardTimeoutError."""

SECONDS = 240.0
"""Default time limit of a plugin for one row. Less than the 300 s after which verl's rate_limited manager gives up."""

# Concurrent calls of plugins in one event loop. Each call's time starts when the call does, so that rows which wait for
# their turn do not time out.
_CONCURRENT = 32
_lock = threading.Lock()
_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()

_Outcome = tuple[bool, Any]
"""True and the result, or False and the error."""


class RewardTimeoutError(Exception):
    """A reward exceeded its time limit; one line."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not finished after {seconds:g} s")


class RaisedGeneratorExitError(Exception):
    """A reward raised GeneratorExit, its cause. By itself, that would look like the end of the coroutine that awaits it."""


class _AlarmError(BaseException):
    """The time is up, in the main thread. Not an Exception, so that a reward's `except Exception` does not catch it."""


async def call_in_loop(reward: Reward, arguments: Mapping[str, Any], seconds: float) -> Any:
    """Await an async reward; run any other in a thread, which is abandoned if it exceeds its time.

    Built-in async rewards have no limit here: they await programs, each of which has limits of its own.
    """
    if reward.source == BUILT_IN and reward.is_async:
        return await reward.function(**arguments)
    async with _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_CONCURRENT)):
        if reward.is_async:
            return await _await(reward.function(**arguments), seconds)
        # Not under asyncio.timeout, which would cancel even if the result has arrived in the meantime.
        result = await _in_thread(reward, arguments, seconds)
        return await _await(result, seconds) if inspect.isawaitable(result) else result


async def call_blocking(reward: Reward, arguments: Mapping[str, Any], seconds: float) -> Any:
    """Call a reward without an event loop around it: this coroutine never waits (see `run_without_loop`).

    In the main thread a reward that is not async runs directly, because such callers may rely on signals; in other threads
    it runs in a thread of its own, which is abandoned if it exceeds its time.
    """
    if reward.is_async:
        return _on_background_loop(call_in_loop(reward, arguments, seconds))
    if threading.current_thread() is threading.main_thread():
        result = _unwrap(_under_alarm(functools.partial(reward.function, **arguments), seconds))
    else:
        finished = threading.Event()
        outcomes = _start_thread(reward, arguments, finished.set)
        if not finished.wait(seconds):
            raise RewardTimeoutError(seconds)
        result = _unwrap(outcomes[0])
    return _on_background_loop(_await(result, seconds)) if inspect.isawaitable(result) else result


def run_without_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the coroutine waited")


async def _await(awaitable: Awaitable[Any], seconds: float) -> Any:
    # In a task of its own: a reward may cancel the task that it runs in, which must not look like a cancelled row.
    task = asyncio.create_task(_catch(awaitable))
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        task.cancel()
    if not task.done():
        raise RewardTimeoutError(seconds)
    return _unwrap(task.result())


async def _catch(awaitable: Awaitable[Any]) -> _Outcome:
    # SystemExit in a task would end the loop, and with it every other row's reward.
    try:
        return True, await awaitable
    except BaseException as error:
        return False, error


async def _in_thread(reward: Reward, arguments: Mapping[str, Any], seconds: float) -> Any:
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()

    def notify() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before a reward that exceeded its time
            loop.call_soon_threadsafe(finished.set_result, None)

    outcomes = _start_thread(reward, arguments, notify)
    await asyncio.wait([finished], timeout=seconds)
    if not outcomes:
        raise RewardTimeoutError(seconds)
    return _unwrap(outcomes[0])


def _start_thread(reward: Reward, arguments: Mapping[str, Any], notify: Callable[[], object]) -> list[_Outcome]:
    """Run the function in a daemon thread, which does not delay the end of the process; return where its outcome will be."""
    outcomes: list[_Outcome] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcomes.append((True, context.run(reward.function, **arguments)))
        except BaseException as error:
            outcomes.append((False, error))
        finally:
            notify()

    threading.Thread(target=run, name=f"reward {reward.name}", daemon=True).start()
    return outcomes


def _unwrap(outcome: _Outcome) -> Any:
    returned, value = outcome
    if returned:
        return value
    if isinstance(value, GeneratorExit):
        raise RaisedGeneratorExitError from value
    raise value


def _under_alarm(function: Callable[[], Any], seconds: float) -> _Outcome:
    """Call a function in the main thread. A reward that sets an alarm replaces this one."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise _AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return True, function()
    except _AlarmError:
        return False, RewardTimeoutError(seconds)
    except GeneratorExit as error:
        return False, error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _on_background_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with _lock:
        loop = _start_loop(os.getpid())
    return _unwrap(asyncio.run_coroutine_threadsafe(_catch(coroutine), loop).result())


@functools.cache
def _start_loop(process: int) -> asyncio.AbstractEventLoop:
    """Start the process's event loop, in a thread: connections that async rewards keep open live as long as it.

    A forked process does not have this thread and starts its own.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="rewards", daemon=True).start()
    return loop
