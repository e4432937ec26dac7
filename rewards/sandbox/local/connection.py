"""The client's side of one worker of the local sandbox."""

from __future__ import annotations

import asyncio
import functools
import json
from dataclasses import asdict
from typing import Any, cast

from rewards.sandbox.base import SandboxError
from rewards.sandbox.local.inside import messages
from rewards.sandbox.program import Execution, Limits, Program
from rewards.sandbox.runner_sources import read_runner
from rewards.sandbox.tracebacks import add_lines

REPLY_SECONDS = 60.0
"""A worker ends a program at its limits; one that is silent so much longer is broken."""


class WorkerGoneError(Exception):
    """The worker's connection has closed, or it is silent."""


class Worker(asyncio.Protocol):
    """The client's side of one worker: a question, then its answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._answer: asyncio.Future[Any] | None = None
        self._gone = False
        self._knows: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) >= messages.size(self._data):
            message, self._data = messages.unpack(self._data), bytearray()
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(WorkerGoneError(str(exc) if exc else "it ended"))

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Runs a program to its end."""
        if program.runner is not None and program.runner not in self._knows:
            self.send(_to_fields(None, program.runner), json.dumps(read_runner(program.runner)))
            self._knows.add(program.runner)
        answer = self.expect(limits.wall_seconds + REPLY_SECONDS)
        self.send(_to_fields(limits, program.runner), program.code, program.stdin)
        try:
            fields = await answer
        finally:
            self.rest()
        if "verdict" not in fields:
            raise SandboxError(f"{program.runner or 'a program'} cannot be run: {fields.get('error')}")
        if fields["error"]:
            fields["error"] = add_lines(fields["error"], program.code)
        return Execution(**fields)

    def become_session(self) -> None:
        """From now on the worker is given the calls of one session."""
        self.send(b'{"session": true}')

    def send(self, fields: bytes, code: str = "", stdin: str = "") -> None:
        """Sends a request; that the worker is gone shows in the answer."""
        assert self._transport is not None
        both = (text.encode("utf-8", errors="surrogatepass") for text in (code, stdin))
        self._transport.write(messages.pack_request(fields, *both))

    def expect(self, seconds: float) -> asyncio.Future[Any]:
        """The next message from the worker. Once `watch` was called, a WorkerGoneError where it does not come in time."""
        self._seconds = seconds
        answer = self._answer = asyncio.get_running_loop().create_future()
        if self._gone:
            answer.set_exception(WorkerGoneError("it ended"))
        return answer

    def watch(self) -> None:
        """Begins to count the time for the answer; most answers are there long before anybody has to."""
        self.rest()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up)

    def rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(WorkerGoneError(f"nothing was heard from it for {self._seconds:.0f} s"))

    def close(self) -> None:
        """Ends the worker and whatever it runs."""
        if self._transport is not None:
            self._transport.abort()


@functools.lru_cache(maxsize=64)
def _to_fields(limits: Limits | None, runner: str | None) -> bytes:
    """What a worker is asked for, beside code and input; a run has few different ones. Without limits: learn a runner."""
    fields: dict[str, Any] = {"source": True} if limits is None else {"limits": asdict(limits)}
    if runner is not None:
        fields["uses"] = runner
    return json.dumps(fields).encode("ascii")
