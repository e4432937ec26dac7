"""Run programs on a SandboxFusion service (github.com/bytedance/SandboxFusion) over HTTP."""

from __future__ import annotations

import asyncio
import functools
import json
import secrets
from dataclasses import replace

from rewards.sandbox.background import Background, Sandbox
from rewards.sandbox.base import SandboxError, Session
from rewards.sandbox.fusion.messages import STREAMS, OverlongAnswerError, read_execution, read_value, write_request
from rewards.sandbox.fusion.service import FusionService
from rewards.sandbox.program import Execution, Limits, Program

_SESSION = "rewards.sandbox.fusion.sent.session"


class FusionSandbox(Sandbox):
    """Runs each program by `POST /run_code`.

    The service itself limits only wall time, and memory if its `isolation` is none. So each program is sent with
    `sent/launch.py`, which lowers its limits of CPU time, memory and file size before it starts. They apply to each process,
    not to all together, and the number of processes is not limited. It also ends a program at its limit of output, and keeps
    the output that the service would drop. An exit status over 128 is interpreted as a signal, as a shell reports it.

    If the service answers no program any more, further ones are refused at once with SandboxUnavailableError; one of them is
    tried now and then.

    Args:
        url: `http://host:8080`, with or without the path `/run_code`.
        concurrency: programs that run at once. The service has its own limit, and queues programs above it.
        attempts: how often a program is sent. It is sent again after a transport fault (no connection, a broken one,
            HTTP 429, 502, 503, 504) or if the service reports its own failure (`SandboxError`); never because a program
            failed or `patience` has passed. Three times more if a service that has answered before is not reachable.
        backoff: seconds before the second attempt, doubled for each further one, plus up to half at random.
        patience: seconds to wait for the service beyond a program's wall time.

    Raises:
        SandboxError: the URL is invalid.
    """

    def __init__(
        self, url: str, *, concurrency: int = 32, attempts: int = 4, backoff: float = 1.0, patience: float = 60.0
    ) -> None:
        super().__init__("SandboxFusion")
        self._service = FusionService(url, concurrency, attempts, backoff, patience)
        self._concurrency = concurrency

    async def open_session(self) -> Session:
        """Open a session; see FusionSession for its cost."""
        return _FusionSession(self._service, self._background)

    def describe(self) -> list[tuple[str, str]]:
        """Return what is in force, without a request to the service."""
        return [
            ("sandbox", f"SandboxFusion at {self._service.url}, {self._concurrency} programs at once"),
            (
                "isolation",
                "unknown: depends on the service (`sandbox.isolation` in its configuration: `none` isolates nothing)",
            ),
            ("network", "unknown: depends on the service"),
            ("files", "unknown: depends on the service; a working folder for each program"),
            ("time", "CPU time of each process; wall time by the service"),
            ("memory", "address space of each process"),
            ("processes", "not limited"),
            ("output", "ended at the limit"),
        ]

    async def _run(self, program: Program, limits: Limits) -> Execution:
        read = functools.partial(read_execution, limits=limits)
        request = write_request(program, limits, fetch=STREAMS)
        try:
            return await self._service.run_code(request, limits.wall_seconds, _max_answer(limits), read)
        except OverlongAnswerError:
            return Execution("output")

    async def _close(self) -> None:
        # Programs that have started run on to their limits at the service.
        await self._service.close()


def _max_answer(limits: Limits) -> int:
    """Return the most bytes of an answer: the streams, and in a session the value, in base64 and with every byte escaped."""
    return (4 << 20) + 24 * limits.output_bytes


class _FusionSession:
    """A session on a service without sessions: each call re-runs the earlier ones first, with their output discarded.

    So side effects of earlier calls outside their variables are repeated, and so is their time: a call's wall time is its
    own limit plus twice the time of the earlier ones. The clock shows a later time; random numbers and hashes are the same.
    A call that was ended, or that ended its own process, is not re-run. The calls of one session run one after another.

    `POST /run_jupyter` is not used: it starts a Jupyter kernel for every request, has no limits per call, and waits for its
    whole timeout if a call ends the kernel.
    """

    def __init__(self, service: FusionService, background: Background) -> None:
        self._service, self._background = service, background
        self._turn = asyncio.Lock()
        self._seed = secrets.randbits(64)
        self._calls: list[str] = []
        self._seconds = 0.0
        self._closed = False

    async def run(self, code: str, limits: Limits | None = None) -> Execution:
        return await self._background.wait(self._run(code, limits or Limits()))

    async def close(self) -> None:
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
            request = write_request(Program(json.dumps(task), runner=_SESSION), allowed, fetch=(*STREAMS, "done"))
            try:
                execution, (ended, value) = await self._service.run_code(
                    request,
                    allowed.wall_seconds,
                    _max_answer(limits),
                    lambda answer: (read_execution(answer, limits), read_value(answer)),
                )
            except OverlongAnswerError:
                return Execution("output")
            if not ended or execution.verdict not in ("ok", "error"):
                return execution
            self._calls.append(code)
            self._seconds = execution.seconds
            text = None if value is None else value.encode("utf-8", errors="backslashreplace").decode()
            return replace(execution, value=text)
