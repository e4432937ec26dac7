"""Running programs on a SandboxFusion service (github.com/bytedance/SandboxFusion) over HTTP."""

from __future__ import annotations

import asyncio
import functools
import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rewards.sandbox.background import Background
from rewards.sandbox.base import SandboxError, Session
from rewards.sandbox.fusion.messages import read_execution, read_file, write_request
from rewards.sandbox.fusion.service import FusionService
from rewards.sandbox.program import Execution, Limits, Program

_SESSION = "rewards.sandbox.fusion.sent.session"


class FusionSandbox:
    """Runs each program by `POST /run_code`.

    Limits: the service itself knows wall time only, and memory only where its `isolation` is none. So each program is
    sent with `sent/launch.py`, which lowers its limits of CPU time, memory and file size before it begins; they hold for
    each of its processes, not for all together, and nothing limits how many processes there are. Output is cut here.
    A status over 128 is read as the signal that a shell tells of by it.

    What a program can see and do is the service's matter: its Python and packages, its network, its files.

    Args:
        url: the service's address, `http://host:8080`.
        concurrency: programs at one time. The service has a limit of its own, and queues what is over it.
        attempts: how often a program is sent before giving up: again after a transport fault (no connection, a broken
            one, HTTP 429, 502, 503, 504) or where the service says that it failed itself (`SandboxError`); never because
            a program failed, and never after `patience` has run out.
        backoff: seconds before the second attempt, doubled for each one after that.
        patience: seconds that the service may take beyond a program's wall time.

    Raises:
        SandboxError: the url is none.
    """

    def __init__(
        self, url: str, *, concurrency: int = 32, attempts: int = 4, backoff: float = 1.0, patience: float = 60.0
    ) -> None:
        self._service = FusionService(url, concurrency, attempts, backoff, patience)
        self._concurrency = concurrency
        self._background = Background("SandboxFusion")

    async def run(self, program: Program, limits: Limits | None = None) -> Execution:
        """Runs one program in a fresh process."""
        return await self._background.wait(self._run(program, limits or Limits()))

    async def run_many(self, programs: Sequence[Program], limits: Limits | None = None) -> list[Execution]:
        """Runs all, `concurrency` at once; results in the order of the programs."""
        return await self._background.wait(self._run_many(programs, limits or Limits()))

    def run_blocking(self, program: Program, limits: Limits | None = None) -> Execution:
        """`run` for code outside an event loop."""
        return self._background.run(self._run(program, limits or Limits()))

    async def open_session(self) -> Session:
        """A new session; see FusionSession for what replaying means."""
        return FusionSession(self._service, self._background)

    def describe(self) -> list[tuple[str, str]]:
        """What is in force; asks nothing of the service."""
        return [
            ("sandbox", f"SandboxFusion at {self._service.url}, {self._concurrency} programs at once"),
            ("isolation", "not known: the service's own (`sandbox.isolation` in its configuration: `none` isolates nothing)"),
            ("network", "not known: the service's own"),
            ("files", "not known: the service's own; a working folder for each program"),
            ("time", "CPU time for each process; wall time by the service"),
            ("memory", "address space of each process"),
            ("processes", "not limited"),
            ("output", "cut here; the service keeps 1 MiB of each stream"),
        ]

    def close(self) -> None:
        """Ends what runs and closes the connections. A program that has begun goes on to its limit at the service."""
        self._background.close(self._service.close)

    async def _run(self, program: Program, limits: Limits) -> Execution:
        request = write_request(program, limits)
        return await self._service.post(
            "/run_code", request, limits.wall_seconds, functools.partial(read_execution, limits=limits)
        )

    async def _run_many(self, programs: Sequence[Program], limits: Limits) -> list[Execution]:
        tasks = [asyncio.ensure_future(self._run(program, limits)) for program in programs]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()


class FusionSession:
    """A session on a service that keeps none: each call first runs the earlier ones again, unseen.

    So what earlier calls did outside their variables happens again with each call, their time passes again (a call's wall
    time is its own limit and twice what the earlier ones took), and the clock reads later than it did; random numbers and
    hashes come out the same. A call that was ended, or that ended its own process, is not run again. The calls of one
    session run one after the other.

    `POST /run_jupyter` is not used: it starts a Jupyter kernel for every request, gives no call limits of its own, and
    waits out its whole time where a call ends the kernel.
    """

    def __init__(self, service: FusionService, background: Background) -> None:
        self._service, self._background = service, background
        self._turn = asyncio.Lock()
        self._seed = secrets.randbits(64)
        self._calls: list[str] = []
        self._seconds = 0.0
        self._closed = False

    async def run(self, code: str, limits: Limits | None = None) -> Execution:
        """Runs code on the variables that earlier calls left."""
        return await self._background.wait(self._run(code, limits or Limits()))

    async def close(self) -> None:
        """Forgets the calls; nothing of them is kept by the service."""
        self._closed = True
        self._calls.clear()

    async def _run(self, code: str, limits: Limits) -> Execution:
        async with self._turn:
            if self._closed:
                raise SandboxError("the session is closed")
            again = 2 * self._seconds
            allowed = replace(limits, cpu_seconds=limits.cpu_seconds + again, wall_seconds=limits.wall_seconds + again)
            task = {
                "before": self._calls,
                "code": code,
                "seed": self._seed,
                "cpu_seconds": limits.cpu_seconds,
                "value_characters": limits.output_bytes,
            }
            request = write_request(Program(json.dumps(task), runner=_SESSION), allowed, fetch=("done",))
            execution, done = await self._service.post(
                "/run_code", request, allowed.wall_seconds, functools.partial(_read_call, limits=limits)
            )
            if done is None or execution.verdict not in ("ok", "error"):
                return execution
            self._calls.append(code)
            self._seconds = execution.seconds
            return replace(execution, value=_as_text(done.get("value")))


def _read_call(answer: Any, limits: Limits) -> tuple[Execution, dict[str, Any] | None]:
    try:
        done = json.loads(read_file(answer, "done") or "")
    except ValueError:
        done = None
    return read_execution(answer, limits), done if isinstance(done, dict) else None


def _as_text(value: object) -> str | None:
    # The call runs in the process that wrote this, and may have written something else.
    return value.encode("utf-8", errors="backslashreplace").decode() if isinstance(value, str) else None
