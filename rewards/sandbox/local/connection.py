"""The client's side of one worker of the local sandbox."""

from __future__ import annotations

import asyncio
import functools
import json
from dataclasses import asdict
from typing import Any, cast

from rewards.sandbox.base import SandboxError
from rewards.sandbox.local.inside import messages
from rewards.sandbox.local.tracebacks import add_lines
from rewards.sandbox.program import Execution, Limits, Program
from rewards.sandbox.runner_sources import read_runner

REPLY_SECONDS = 60.0
"""A worker ends a program at its limits. A worker that does not answer for this much longer is broken."""


class WorkerGoneError(Exception):
    """The worker's connection has closed, or the worker does not answer."""


class Worker(asyncio.Protocol):
    """The client's side of one worker: a request, then its answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._answer: asyncio.Future[Any] | None = None
        self._gone = False
        self._runners: set[str] = set()

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
        self._fail(str(exc) if exc else "it ended")

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run a program to its end."""
        if program.runner is not None and program.runner not in self._runners:
            self._send(_to_fields(None, program.runner), json.dumps(read_runner(program.runner)))
            self._runners.add(program.runner)
        answer = self.expect(limits.wall_seconds + REPLY_SECONDS)
        self._send(_to_fields(limits, program.runner), program.code, program.stdin)
        try:
            fields = await answer
        finally:
            self.unwatch()
        if "verdict" not in fields:
            raise SandboxError(f"{program.runner or 'a program'} cannot be run: {fields.get('error')}")
        if fields["error"]:
            fields["error"] = add_lines(fields["error"], program.code)
        return Execution(**fields)

    def become_session(self) -> None:
        """Make the worker run the calls of one session from now on."""
        self._send(b'{"session": true}')

    def expect(self, seconds: float) -> asyncio.Future[Any]:
        """Return the next message from the worker. It fails with WorkerGoneError `seconds` after `watch` was called."""
        self._seconds = seconds
        self._answer = asyncio.get_running_loop().create_future()
        if self._gone:
            self._fail("it ended")
        return self._answer

    def watch(self) -> None:
        """Start the timer for the answer. Called late, because most answers come before a timer is worth its cost."""
        self.unwatch()
        self._timer = asyncio.get_running_loop().call_later(
            self._seconds, self._fail, f"it did not answer for {self._seconds:.0f} s"
        )

    def unwatch(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """End the worker and what it runs."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, fields: bytes, code: str = "", stdin: str = "") -> None:
        """Send a request. If the worker has ended, the answer fails."""
        assert self._transport is not None
        both = (text.encode("utf-8", errors="surrogatepass") for text in (code, stdin))
        self._transport.write(messages.pack_request(fields, *both))

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(WorkerGoneError(reason))


@functools.lru_cache(maxsize=64)
def _to_fields(limits: Limits | None, runner: str | None) -> bytes:
    """Return a request's fields, cached because a run has few different ones. Without limits: load a runner."""
    fields: dict[str, Any] = {"source": True} if limits is None else {"limits": asdict(limits)}
    if runner is not None:
        fields["uses"] = runner
    return json.dumps(fields).encode("ascii")
