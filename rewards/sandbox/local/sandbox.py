"""The local sandbox: isolated workers, forked from a Python that is warmed once."""

from __future__ import annotations

import asyncio

from rewards.sandbox.background import Background, Sandbox
from rewards.sandbox.base import Session
from rewards.sandbox.local import isolation
from rewards.sandbox.local.connection import Worker
from rewards.sandbox.local.pool import Pool, open_pool
from rewards.sandbox.program import Execution, Limits, Program


class LocalSandbox(Sandbox):
    """Runs each program in a process forked from a warm Python and isolated by the kernel.

    Args:
        workers: programs that run at once. A long-running (endless) program does not count: others run beside it.
        isolation: `strong` refuses to run programs without sound isolation; `weak` accepts resource limits only.
        imports: packages that programs can import besides the standard library.
        kind: the kind of isolation; default: the best available.

    Raises:
        SandboxError: no accepted kind of isolation is available (raised on first use).
    """

    def __init__(
        self,
        workers: int,
        isolation: isolation.Demand = "strong",
        imports: tuple[str, ...] = (),
        kind: isolation.Kind | None = None,
    ) -> None:
        super().__init__("sandbox")
        self._wanted = workers
        self._demand, self._imports, self._kind = isolation, imports, kind
        self._pool: Pool | None = None
        self._lock = asyncio.Lock()

    async def open_session(self) -> Session:
        return await self._background.wait(self._open_session())

    def describe(self) -> list[tuple[str, str]]:
        return isolation.describe(self._background.run(self._get_pool()).isolation)

    def measure_memory(self) -> tuple[int, int]:
        """Return the bytes of the template with its workers, shared pages counted once, and those of one worker alone."""
        return self._background.run(self._get_pool()).measure()

    async def _run(self, program: Program, limits: Limits) -> Execution:
        return await (await self._get_pool()).run(program, limits)

    async def _open_session(self) -> Session:
        pool = await self._get_pool()
        return _LocalSession(self._background, pool, await pool.start_session())

    async def _get_pool(self) -> Pool:
        if self._pool is None:
            async with self._lock:
                if self._pool is None:
                    self._pool = await open_pool(self._wanted, self._demand, self._imports, self._kind)
        return self._pool

    async def _close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


class _LocalSession:
    """A session with its own worker."""

    def __init__(self, background: Background, pool: Pool, worker: Worker) -> None:
        self._background, self._pool, self._worker = background, pool, worker

    async def run(self, code: str, limits: Limits | None = None) -> Execution:
        return await self._background.wait(self._pool.call(self._worker, code, limits or Limits()))

    async def close(self) -> None:
        await self._background.wait(self._pool.end_session(self._worker))
