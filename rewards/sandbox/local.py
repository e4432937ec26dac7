"""The local sandbox: workers that the kernel isolates, forked from a Python that was warmed once."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import os
import socket
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from rewards.sandbox import isolation
from rewards.sandbox.background import Background
from rewards.sandbox.base import SandboxError, Session
from rewards.sandbox.inside import messages
from rewards.sandbox.isolation import Isolation
from rewards.sandbox.program import Execution, Limits, Program

_ROOT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.insert(0, sys.argv[1]); from rewards.sandbox.inside.template import main; main(int(sys.argv[2]))"
_LEND_AFTER = 0.3
"""Seconds after which a program no longer holds up those that wait, as long as there are workers left to start."""
_WORKERS_PER_CORE = 8
_REPLY_SECONDS = 60.0
"""A worker ends a program at its limits; one that is silent so much longer is broken."""


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
        self._pool: _Pool | None = None
        self._lock: asyncio.Lock | None = None
        self._closed = False
        self._opening = threading.Lock()

    async def run(self, program: Program, limits: Limits | None = None) -> Execution:
        return await self._background.wait(self._run(program, limits or Limits()))

    async def run_many(self, programs: Sequence[Program], limits: Limits | None = None) -> list[Execution]:
        return await self._background.wait(self._run_many(programs, limits or Limits()))

    def run_blocking(self, program: Program, limits: Limits | None = None) -> Execution:
        return self._background.run(self._run(program, limits or Limits()))

    async def open_session(self) -> Session:
        worker = await self._background.wait(self._take_for_session())
        return _LocalSession(self._background, worker)

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

    async def _take_for_session(self) -> _Worker:
        pool = await self._get_pool()
        worker = await pool.start_worker()
        worker.send(b'{"session": true}')
        return worker

    async def _get_pool(self) -> _Pool:
        if self._pool is not None:
            return self._pool
        if self._lock is None:  # only this loop's thread comes here
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._closed:
                raise SandboxError("the sandbox is closed")
            if self._pool is None:
                self._pool = await _open_pool(self._wanted, self._demand, self._imports, self._kind)
        return self._pool


async def _open_pool(wanted: int, demand: isolation.Demand, imports: tuple[str, ...], kind: isolation.Kind | None) -> _Pool:
    """A pool of the best kind that works here: what the kernel really allows shows only when it is tried."""
    refused: list[str] = []
    for each in isolation.candidates(demand, kind):
        if each.missing:
            refused.append(f"{each.kind}: {each.missing}")
            continue
        pool = _Pool(wanted, each, imports)
        try:
            await pool.open()
        except isolation.NotOfferedError as error:
            await pool.close()
            refused.append(f"{each.kind}: {error}")
            continue
        except BaseException:
            await pool.close()
            raise
        each.refused = tuple(refused)
        return pool
    raise SandboxError(isolation.explain_refusal(refused))


class _Pool:
    """A template process and the workers forked from it."""

    def __init__(self, wanted: int, kind: Isolation, imports: tuple[str, ...]) -> None:
        self.isolation = kind
        self._wanted, self._imports = wanted, imports
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self.permits = asyncio.Semaphore(wanted)
        self.most = wanted * _WORKERS_PER_CORE
        self.running = 0
        self._template: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def open(self) -> None:
        """Starts the template and the first worker."""
        await self._start_template()
        self._idle.append(await self.start_worker())

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Runs a program when its turn has come."""
        await self.permits.acquire()
        place = _Place(self)
        try:
            for attempt in (1, 2):
                worker = self._idle.pop() if self._idle else await self.start_worker()
                try:
                    result = await worker.run(program, limits)
                except _WorkerGoneError as error:
                    # The kernel may choose a worker when memory runs out; its program is given one more chance.
                    self._forget(worker)
                    if attempt == 2:
                        return Execution("killed", error=f"two workers ended while they ran it: {error}")
                except BaseException:
                    self._forget(worker)
                    raise
                else:
                    self._idle.append(worker)
                    return result
        finally:
            place.leave()
        raise AssertionError

    async def start_worker(self) -> _Worker:
        """A new worker, which has told how it is isolated."""
        if self._template is None or self._template.poll() is not None:
            await self._start_template()
        assert self._control is not None
        ours, theirs = socket.socketpair()
        try:
            socket.send_fds(self._control, [b"w"], [theirs.fileno()])
        except OSError as error:
            ours.close()
            raise SandboxError(f"the sandbox's template process is gone: {error}") from None
        finally:
            theirs.close()
        # A worker tells how it is isolated before it is asked anything.
        worker = _Worker()
        answer = worker.expect(_REPLY_SECONDS)
        await asyncio.get_running_loop().create_connection(lambda: worker, sock=ours)
        try:
            hello = await answer
        except _WorkerGoneError as error:
            worker.close()
            raise SandboxError(f"a worker of the sandbox did not start: {error}") from None
        if "error" in hello:
            worker.close()
            raise isolation.NotOfferedError(str(hello["error"]))
        self.isolation.hello = hello
        self._all.add(worker)
        return worker

    def measure(self) -> tuple[int, int]:
        """Bytes of the template and all that it started, and those that the newest worker shares with nobody."""
        assert self._template is not None
        total, alone, waiting = 0, 0, [self._template.pid]
        while waiting:
            folder = Path(f"/proc/{waiting.pop()}")
            try:
                rollup = (folder / "smaps_rollup").read_text()
                waiting += [int(pid) for pid in (folder / "task" / folder.name / "children").read_text().split()]
            except OSError:  # it has ended
                continue
            sizes = {
                name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in rollup.splitlines()[1:])
            }
            total += sizes["Pss"]
            alone = sizes["Private_Clean"] + sizes["Private_Dirty"]
        return total, alone

    async def close(self) -> None:
        for worker in self._all:
            worker.close()
        self._all.clear()
        if self._control is not None:
            self._control.close()
        if self._template is not None:
            try:
                await asyncio.to_thread(self._template.wait, 5)
            except subprocess.TimeoutExpired:
                self._template.kill()
                self._template.wait()
            self._template = None

    def _forget(self, worker: _Worker) -> None:
        worker.close()
        self._all.discard(worker)

    async def _start_template(self) -> None:
        for worker in self._idle:
            self._forget(worker)
        self._idle.clear()
        ours, theirs = socket.socketpair()
        try:
            # In this thread, which lives as long as the sandbox: the template ends with the thread that made it.
            self._template = _spawn(theirs.fileno())
        finally:
            theirs.close()
        self._control = ours
        config = self.isolation.configure(_ROOT, self._imports)
        ours.sendall(messages.pack_json(config))
        ready = await asyncio.to_thread(messages.receive_json, ours)
        if ready is None:
            raise SandboxError(
                f"the sandbox's Python ({isolation.python()}) ended with status {self._template.wait()} at its start"
            )
        if "error" in ready:
            raise SandboxError(f"the sandbox could not load what programs need: {ready['error']}")


class _Place:
    """A place among the programs that run at once. One that is held for long is lent to the next in the queue."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._lent = False
        pool.running += 1
        self._timer = asyncio.get_running_loop().call_later(_LEND_AFTER, self._lend)

    def leave(self) -> None:
        """Gives it back."""
        self._timer.cancel()
        self._pool.running -= 1
        if not self._lent:
            self._pool.permits.release()

    def _lend(self) -> None:
        if self._pool.running <= self._pool.most:
            self._lent = True
            self._pool.permits.release()


def _spawn(control: int) -> subprocess.Popen[bytes]:
    # Nothing of this process's environment, which may hold secrets, lies in the memory of a program. The run's mark
    # stays, by which a run finds what it started.
    environment = {name: os.environ[name] for name in ("PIPELINE_RUN",) if name in os.environ}
    environment |= {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "MALLOC_ARENA_MAX": "2",
        "OMP_NUM_THREADS": "1",
    }
    command = [isolation.python(), "-s", "-S", "-P", "-X", "utf8", "-B", "-c", _START, str(_ROOT), str(control)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if not os.environ.get("PIPELINE_SANDBOX_DEBUG") else None,
        env=environment,
        pass_fds=(control,),
        cwd="/",
        start_new_session=True,
    )


class _WorkerGoneError(Exception):
    """The worker's connection has closed, or it is silent."""


class _Worker(asyncio.Protocol):
    """The client's side of one worker: a question, then its answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._answer: asyncio.Future[Any] | None = None
        self._gone = False
        self._knows: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        if len(self._data) >= messages.size(self._data):
            message, self._data = messages.unpack(self._data), b""
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(_WorkerGoneError(str(exc) if exc else "it ended"))

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Runs a program to its end."""
        if program.runner is not None and program.runner not in self._knows:
            self.send(_to_fields(None, program.runner), _read_runner(program.runner))
            self._knows.add(program.runner)
        answer = self.expect(limits.wall_seconds + _REPLY_SECONDS)
        self.send(_to_fields(limits, program.runner), program.code, program.stdin)
        return Execution(**await answer)

    def send(self, fields: bytes, code: str = "", stdin: str = "") -> None:
        """Sends a request; that the worker is gone shows in the answer."""
        assert self._transport is not None
        both = (text.encode("utf-8", errors="surrogatepass") for text in (code, stdin))
        self._transport.write(messages.pack_request(fields, *both))

    def expect(self, seconds: float) -> asyncio.Future[Any]:
        """The next message from the worker; a _WorkerGoneError where none comes in time."""
        loop = asyncio.get_running_loop()
        answer = self._answer = loop.create_future()
        if self._gone:
            answer.set_exception(_WorkerGoneError("it ended"))
            return answer

        def give_up() -> None:
            if not answer.done():
                answer.set_exception(_WorkerGoneError(f"nothing was heard from it for {seconds:.0f} s"))

        timer = loop.call_later(seconds, give_up)
        answer.add_done_callback(lambda _: timer.cancel())
        return answer

    def close(self) -> None:
        """Ends the worker and whatever it runs."""
        if self._transport is not None:
            self._transport.abort()


class _LocalSession:
    """A session in a worker of its own."""

    def __init__(self, background: Background, worker: _Worker) -> None:
        self._background, self._worker = background, worker

    async def run(self, code: str, limits: Limits | None = None) -> Execution:
        return await self._background.wait(self._run(code, limits or Limits()))

    async def close(self) -> None:
        self._worker.close()

    async def _run(self, code: str, limits: Limits) -> Execution:
        try:
            answer = self._worker.expect(limits.wall_seconds + _REPLY_SECONDS)
            self._worker.send(_to_fields(limits, None), code)
            return Execution(**await answer)
        except _WorkerGoneError as error:
            raise SandboxError(f"the session has ended: {error}") from None


@functools.lru_cache(maxsize=64)
def _to_fields(limits: Limits | None, runner: str | None) -> bytes:
    """What a worker is asked for, beside code and input; a run has few different ones. Without limits: learn a runner."""
    fields: dict[str, Any] = {"source": True} if limits is None else {"limits": asdict(limits)}
    if runner is not None:
        fields["uses"] = runner
    return json.dumps(fields).encode("ascii")


@functools.cache
def _read_runner(name: str) -> str:
    try:
        found = importlib.util.find_spec(name)
    except ImportError:  # of a package in its name
        found = None
    if found is None or found.origin is None:
        raise SandboxError(f"there is no runner {name}")
    return Path(found.origin).read_text(encoding="utf-8")
