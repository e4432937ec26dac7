"""The loop in a thread of its own: from any thread, from any loop, cancelled, closed."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rewards.sandbox import SandboxError
from rewards.sandbox.background import Background


@pytest.fixture
def background() -> Iterator[Background]:
    """One that is closed at the end."""
    made = Background("under test")
    yield made
    made.close()


async def _where() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


async def _fail() -> None:
    raise KeyError("it")


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "under test"]


def test_runs_in_its_own_thread(background: Background) -> None:
    assert background.run(_where()) == "under test"
    assert asyncio.run(background.wait(_where())) == "under test"


def test_starts_when_first_used(background: Background) -> None:
    assert not _threads()
    background.run(_where())
    assert len(_threads()) == 1
    assert _threads()[0].daemon


def test_many_threads_at_first(background: Background) -> None:
    barrier = threading.Barrier(16)

    def use(_: int) -> str:
        barrier.wait()
        return background.run(_where())

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(use, range(16))) == ["under test"] * 16
    assert len(_threads()) == 1


def test_exceptions_arrive(background: Background) -> None:
    with pytest.raises(KeyError, match="it"):
        background.run(_fail())
    with pytest.raises(KeyError, match="it"):
        asyncio.run(background.wait(_fail()))


def test_cancelling_the_caller_cancels_the_work(background: Background) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def call() -> None:
        task = asyncio.create_task(background.wait(work()))
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(call())
    assert cancelled.wait(5)
    assert background.run(_where()) == "under test"


def test_a_callers_timeout_is_its_own(background: Background) -> None:
    async def call() -> None:
        async with asyncio.timeout(0.05):
            await background.wait(asyncio.sleep(60))

    with pytest.raises(TimeoutError):
        asyncio.run(call())


def test_refuses_to_wait_for_itself(background: Background) -> None:
    async def nested() -> None:
        background.run(_where())

    with pytest.raises(RuntimeError, match="own thread"):
        background.run(nested())


def test_closing_ends_what_runs_and_the_thread() -> None:
    background = Background("under test")
    ended: list[str] = []

    async def last() -> None:
        ended.append(threading.current_thread().name)

    async def call() -> None:
        await background.wait(asyncio.sleep(60))

    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(background.run, asyncio.sleep(60)), threads.submit(asyncio.run, call())]
        while not _threads():
            time.sleep(0.01)
        time.sleep(0.05)
        background.close(last)
        for each in waiting:
            with pytest.raises(SandboxError, match="the sandbox is closed"):
                each.result(5)
    assert ended == ["under test"]
    assert not _threads()
    background.close(last)
    assert len(ended) == 1


def test_closed_for_good() -> None:
    background = Background("under test")
    background.close()
    with pytest.raises(SandboxError, match="the sandbox is closed"):
        background.run(_where())
    with pytest.raises(SandboxError, match="the sandbox is closed"):
        asyncio.run(background.wait(_where()))
    assert not _threads()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_refused(background: Background) -> None:
    background.run(_where())
    pid = os.fork()
    if pid == 0:
        try:
            background.run(_where())
        except SandboxError as error:
            background.close()
            os._exit(42 if "forked" in str(error) else 1)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    assert background.run(_where()) == "under test"


def test_closing_while_many_call() -> None:
    background = Background("under test")
    outcomes: list[str] = []

    def use(_: int) -> None:
        try:
            while True:
                background.run(_where())
        except SandboxError as error:
            outcomes.append(str(error))

    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(use, number) for number in range(8)]
        time.sleep(0.1)
        background.close()
        for future in futures:
            future.result(5)
    assert outcomes == ["the sandbox is closed"] * 8
