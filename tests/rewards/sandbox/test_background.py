"""The background loop: called from any thread and any loop, cancelled, closed."""

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

NAME = "under test"


@pytest.fixture
def background() -> Iterator[Background]:
    """A background loop that is closed at the end of the test."""
    made = Background(NAME)
    yield made
    made.close(_where_and_forget)


async def _where() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


async def _where_and_forget() -> None:
    await _where()


async def _fail() -> None:
    raise KeyError("it")


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def test_runs_in_its_thread(background: Background) -> None:
    assert background.run(_where()) == NAME
    assert asyncio.run(background.wait(_where())) == NAME


def test_starts_on_first_use(background: Background) -> None:
    assert not _threads()
    background.run(_where())
    assert len(_threads()) == 1
    assert _threads()[0].daemon


def test_first_use_by_many_threads(background: Background) -> None:
    barrier = threading.Barrier(16)

    def use(_: int) -> str:
        barrier.wait()
        return background.run(_where())

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(use, range(16))) == [NAME] * 16
    assert len(_threads()) == 1


def test_exceptions_are_raised_in_the_caller(background: Background) -> None:
    with pytest.raises(KeyError, match="it"):
        background.run(_fail())
    with pytest.raises(KeyError, match="it"):
        asyncio.run(background.wait(_fail()))


def test_cancelling_the_caller_cancels_the_coroutine(background: Background) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def call() -> None:
        task = asyncio.create_task(background.wait(work()))
        await asyncio.to_thread(begun.wait, 120)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(call())
    assert cancelled.wait(120)
    assert background.run(_where()) == NAME


def test_timeout_of_the_caller(background: Background) -> None:
    async def call() -> None:
        async with asyncio.timeout(0.05):
            await background.wait(asyncio.sleep(1000))

    with pytest.raises(TimeoutError):
        asyncio.run(call())


def test_call_from_its_own_thread_is_refused(background: Background) -> None:
    async def nested() -> None:
        background.run(_where())

    with pytest.raises(RuntimeError, match="own thread"):
        background.run(nested())


def test_close_cancels_coroutines_and_ends_the_thread() -> None:
    background = Background(NAME)
    started = threading.Semaphore(0)
    ended: list[str] = []

    async def sleep() -> None:
        started.release()
        await asyncio.sleep(1000)

    async def last() -> None:
        ended.append(threading.current_thread().name)

    async def call() -> None:
        await background.wait(sleep())

    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(background.run, sleep()), threads.submit(asyncio.run, call())]
        for _ in waiting:
            assert started.acquire(timeout=120)
        background.close(last)
        for each in waiting:
            with pytest.raises(SandboxError, match="the sandbox is closed"):
                each.result(120)
    assert ended == [NAME]
    assert not _threads()
    background.close(last)
    assert len(ended) == 1


def test_closed_for_good() -> None:
    background = Background(NAME)
    background.close(_where_and_forget)
    with pytest.raises(SandboxError, match="the sandbox is closed"):
        background.run(_where())
    with pytest.raises(SandboxError, match="the sandbox is closed"):
        asyncio.run(background.wait(_where()))
    assert not _threads()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_process_is_refused(background: Background) -> None:
    background.run(_where())
    pid = os.fork()
    if pid == 0:
        try:
            background.run(_where())
        except SandboxError as error:
            background.close(_where_and_forget)
            os._exit(42 if "forked" in str(error) else 1)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    assert background.run(_where()) == NAME


def test_close_during_many_calls() -> None:
    background = Background(NAME)
    outcomes: list[str] = []

    def use(_: int) -> None:
        try:
            while True:
                background.run(_where())
        except SandboxError as error:
            outcomes.append(str(error))

    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(use, number) for number in range(8)]
        try:
            time.sleep(0.05)
        finally:
            background.close(_where_and_forget)
        for future in futures:
            future.result(120)
    assert outcomes == ["the sandbox is closed"] * 8


def test_loop_is_not_the_one_that_a_trainer_has_chosen(background: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray and vLLM choose uvloop, whose transports have other classes."""
    monkeypatch.setattr(asyncio, "new_event_loop", lambda: pytest.fail("asked for the default loop"))

    async def get_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert type(background.run(get_loop())) is asyncio.SelectorEventLoop


def test_callers_whose_loops_have_ended_are_forgotten(background: Background) -> None:
    """Their coroutines end without an error, and nothing of them is kept."""
    started = threading.Event()

    async def work() -> None:
        started.set()
        await asyncio.sleep(1000)

    async def leave() -> None:
        waiting = asyncio.create_task(background.wait(work()))
        await asyncio.to_thread(started.wait, 120)
        waiting.cancel()

    for _ in range(3):
        started.clear()
        asyncio.run(leave())
    assert asyncio.run(background.wait(_where())) == NAME
    assert sum(not loop.is_closed() for loop in background._callbacks) == 1
    assert len(background._callbacks) == 2
