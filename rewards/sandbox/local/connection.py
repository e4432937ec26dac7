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

_PART_BYTES = 1 << 18
REPLY_SECONDS = 60.0
"""A worker ends a program at its limits. A worker that does not answer for this much longer is broken."""


class WorkerGoneError(Exception):
    """The worker's connection has closed, or the worker does not answer."""


class WorkerFaultError(WorkerGoneError):
    """The worker has reported a failure of its own code, and ended."""


class Worker(asyncio.BufferedProtocol):
    """The client's side of one worker: a request, then its answer. Each step of an event loop counts here, so no streams."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._runners: set[str] = set()
        self.turn = asyncio.Lock()
        """Of the calls of a session, which may be made at the same time."""
        self._data = b""
        self._part = memoryview(bytearray(_PART_BYTES))
        # The first message, which the worker sends by itself, and one answer per program.
        self._expected = 1
        self._ended: str | None = None
        self._waiting: asyncio.Future[bytes] | None = None

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run a program to its end."""
        if program.runner is not None and program.runner not in self._runners:
            self._send(_to_fields(None, program.runner), json.dumps(read_runner(program.runner)))
            self._runners.add(program.runner)
        self._send(_to_fields(limits, program.runner), program.code, program.stdin)
        self._expected += 1
        fields = await self.receive(limits.wall_seconds + REPLY_SECONDS)
        if "fault" in fields:
            raise WorkerFaultError(str(fields["fault"]))
        if "verdict" not in fields:
            raise SandboxError(f"{program.runner or 'a program'} cannot be run: {fields.get('error')}")
        if fields["error"]:
            fields["error"] = add_lines(fields["error"], program.code)
        return Execution(**fields)

    async def receive(self, seconds: float) -> dict[str, Any]:
        """Receive the last of the expected messages; the others are answers to calls that were cancelled.

        Raises:
            WorkerGoneError: it does not arrive in this time, or the worker has ended.
        """
        loop = asyncio.get_running_loop()
        self._waiting = waiting = loop.create_future()
        self._look()
        timer = loop.call_later(seconds, self._fail, f"it did not answer for {seconds:.0f} s")
        try:
            return messages.unpack(await waiting)
        finally:
            timer.cancel()
            self._waiting = None

    def close(self) -> None:
        """End the worker and what it runs."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for a part of an answer. A plain protocol would get 256 KiB of new memory for each."""
        return self._part

    def buffer_updated(self, nbytes: int) -> None:
        """Take the part of an answer that is in the buffer."""
        self._data += self._part[:nbytes]
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember that the worker has ended."""
        self._ended = str(exc or "it ended")
        self._look()

    def _look(self) -> None:
        """Pass on the last expected message, if it is complete."""
        if self._waiting is None or self._waiting.done():
            return
        while len(self._data) >= (size := messages.size(self._data)):
            message, self._data = self._data[:size], self._data[size:]
            self._expected -= 1
            if not self._expected:
                self._waiting.set_result(message)
                return
        if self._ended is not None:
            self._fail(self._ended)

    def _fail(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(WorkerGoneError(why))

    def _send(self, fields: bytes, code: str = "", stdin: str = "") -> None:
        both = (text.encode("utf-8", errors="surrogatepass") for text in (code, stdin))
        self._transport.write(messages.pack_request(fields, *both))


@functools.lru_cache(maxsize=64)
def _to_fields(limits: Limits | None, runner: str | None) -> bytes:
    """Return a request's fields, cached because a run has few different ones. Without limits: load a runner."""
    fields: dict[str, Any] = {"source": True} if limits is None else {"limits": asdict(limits)}
    if runner is not None:
        fields["uses"] = runner
    return json.dumps(fields).encode("ascii")
