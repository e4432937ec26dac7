"""Callbacks from other threads: none is lost, and many wake the loop once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest.mock import Mock

import pytest

from rewards.sandbox.loops import Callbacks

THREADS, EACH = 8, 2000


def test_many_callbacks_wake_the_loop_once() -> None:
    called: list[int] = []

    async def main() -> None:
        loop = Mock(wraps=asyncio.get_running_loop())
        callbacks = Callbacks(loop)
        for number in range(100):
            callbacks.add(partial(called.append, number))
        await asyncio.sleep(0)
        assert loop.call_soon_threadsafe.call_count == 1
        callbacks.add(lambda: callbacks.add(partial(called.append, 100)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert called == list(range(101))


def test_no_callback_of_many_threads_is_lost() -> None:
    counts = [0] * THREADS
    everything = THREADS * EACH

    async def main() -> None:
        callbacks, finished = Callbacks(asyncio.get_running_loop()), asyncio.Event()

        def count(thread: int) -> None:
            counts[thread] += 1
            if sum(counts) == everything:
                finished.set()

        def add(thread: int) -> None:
            barrier.wait()
            for _ in range(EACH):
                callbacks.add(partial(count, thread))

        barrier = threading.Barrier(THREADS)
        with ThreadPoolExecutor(THREADS) as threads:
            adding = [asyncio.get_running_loop().run_in_executor(threads, add, thread) for thread in range(THREADS)]
            async with asyncio.timeout(120):
                await asyncio.gather(*adding)
                await finished.wait()

    asyncio.run(main())
    assert counts == [EACH] * THREADS


def test_closed_loop() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        Callbacks(loop).add(lambda: None)
