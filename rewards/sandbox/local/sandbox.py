"""The local sandbox: workers that the kernel isolates, forked from a Python that was warmed once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from rewards.sandbox.background import Background
from rewards.sandbox.base import SandboxError, Session
from rewards.sandbox.local import isolation
from rewards.sandbox.local.connection import Worker
from rewards.sandbox.local.pool import Pool, open_pool
from rewards.sandbox.program import Execution, Limits, Program


class LocalSandbox:
    """Runs each program in a process forked from a warm Python, isolated by the kernel.

    Args:
        workers: programs that run at once; this process's cores if not said. A program that goes on for long (an endless
            one) does not count: others run beside it.
        isolation: what to accept: `strong` refuses what is below a sound minimum.
        imports: packages that programs see beside the standard library.
        kind: one kind of isolation rather than the best there is.

    Raises:
        SandboxError: nothing that the machine offers is accepted.
    """

    def __init__(
        self,
        workers: int | None = None,
        isolation: isolation.Demand = "strong",
        imports: tuple[str, ...] = (),
        kind: isolation.Kind | None = None,
    ) -> None:
        self._wanted = workers or len(os.sched_getaffinity(0))
        self._demand, self._imports, self._kind = isolation, imports, kind
        self._background = Background("sandbox")
        self._pool: Pool | None = None
        self._lock: asyncio.Lock | None = None
        self._closed = False

    async def run(self, program: Program, limits: Limits | None = None) -> Execution:
        return await self._background.wait(self._run(program, limits or Limits()))

    async def run_many(self, programs: Sequence[Program], limits: Limits | None = None) -> list[Execution]:
        return await self._background.wait(self._run_many(programs, limits or Limits()))

    def run_blocking(self, program: Program, limits: Limits | None = None) -> Execution:
        return self._background.run(self._run(program, limits or Limits()))

    async def open_session(self) -> Session:
        pool, worker = await self._background.wait(self._take_for_session())
        return _LocalSession(self._background, pool, worker)

    def describe(self) -> list[tuple[str, str]]:
        return self._background.run(self._describe())

    def measure_memory(self) -> tuple[int, int]:
        """Bytes that the template and its workers take, shared pages counted once; those of one worker alone."""
        return self._background.run(self._measure())

    def close(self) -> None:
        self._closed = True
        if self._pool is not None:
            self._background.run(self._pool.close())
            self._pool = None
        self._background.close()

    async def _describe(self) -> list[tuple[str, str]]:
        return isolation.describe((await self._get_pool()).isolation)

    async def _measure(self) -> tuple[int, int]:
        return (await self._get_pool()).measure()

    async def _run(self, program: Program, limits: Limits) -> Execution:
        return await (await self._get_pool()).run(program, limits)

    async def _run_many(self, programs: Sequence[Program], limits: Limits) -> list[Execution]:
        pool = await self._get_pool()
        return list(await asyncio.gather(*(pool.run(each, limits) for each in programs)))

    async def _take_for_session(self) -> tuple[Pool, Worker]:
        pool = await self._get_pool()
        return pool, await pool.start_session()

    async def _get_pool(self) -> Pool:
        if self._pool is not None:
            return self._pool
        if self._lock is None:  # only this loop's thread comes here
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._closed:
                raise SandboxError("the sandbox is closed")
            if self._pool is None:
                self._pool = await open_pool(self._wanted, self._demand, self._imports, self._kind)
        return self._pool


class _LocalSession:
    """A session in a worker of its own."""

    def __init__(self, background: Background, pool: Pool, worker: Worker) -> None:
        self._background, self._pool, self._worker = background, pool, worker

    async def run(self, code: str, limits: Limits | None = None) -> Execution:
        return await self._background.wait(self._pool.call(self._worker, code, limits or Limits()))

    async def close(self) -> None:
        await self._background.wait(self._pool.end_session(self._worker))
