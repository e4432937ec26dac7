"""The client's side of one worker of the local sandbox."""

from __future__ import annotations

import asyncio
import functools
import json
from dataclasses import asdict
from typing import Any

from rewards.sandbox.base import SandboxError
from rewards.sandbox.local.inside import messages
from rewards.sandbox.local.tracebacks import add_lines
from rewards.sandbox.program import Execution, Limits, Program
from rewards.sandbox.runner_sources import read_runner

REPLY_SECONDS = 60.0
"""A worker ends a program at its limits. A worker that does not answer for this much longer is broken."""


class WorkerGoneError(Exception):
    """The worker's connection has closed, or the worker does not answer."""


class WorkerFaultError(WorkerGoneError):
    """The worker has reported a failure of its own code, and ended."""


class Worker:
    """The client's side of one worker: a request, then its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._runners: set[str] = set()
        self.turn = asyncio.Lock()
        """Of the calls of a session, which may be made at the same time."""
        self._data = b""
        # The first message, which the worker sends by itself, and one answer per program.
        self._expected = 1

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
        data = b""
        try:
            async with asyncio.timeout(seconds):
                while self._expected:
                    while len(self._data) < (size := messages.size(self._data)):
                        self._data += await self._reader.readexactly(size - len(self._data))
                    data, self._data = self._data, b""
                    self._expected -= 1
        except TimeoutError:
            raise WorkerGoneError(f"it did not answer for {seconds:.0f} s") from None
        except (asyncio.IncompleteReadError, OSError) as error:
            raise WorkerGoneError(str(error) if isinstance(error, OSError) else "it ended") from None
        return messages.unpack(data)

    def close(self) -> None:
        """End the worker and what it runs."""
        self._writer.transport.abort()

    def _send(self, fields: bytes, code: str = "", stdin: str = "") -> None:
        both = (text.encode("utf-8", errors="surrogatepass") for text in (code, stdin))
        self._writer.write(messages.pack_request(fields, *both))


@functools.lru_cache(maxsize=64)
def _to_fields(limits: Limits | None, runner: str | None) -> bytes:
    """Return a request's fields, cached because a run has few different ones. Without limits: load a runner."""
    fields: dict[str, Any] = {"source": True} if limits is None else {"limits": asdict(limits)}
    if runner is not None:
        fields["uses"] = runner
    return json.dumps(fields).encode("ascii")
