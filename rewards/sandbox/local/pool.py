"""The template process of the local sandbox, the workers that it forks, and whose turn it is."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from pathlib import Path

from rewards.sandbox.base import SandboxError
from rewards.sandbox.local import isolation
from rewards.sandbox.local.connection import REPLY_SECONDS, Worker, WorkerGoneError
from rewards.sandbox.local.inside import messages
from rewards.sandbox.local.isolation import Isolation
from rewards.sandbox.program import Execution, Limits, Program

_ROOT = Path(__file__).resolve().parents[3]
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from rewards.sandbox.local.inside.template import main; main(int(sys.argv[2]))"
)
_LONG = 0.3
"""Seconds after which a program no longer holds up those that wait, as long as there are workers left to start; and
after which its worker is watched."""
_WORKERS_PER_CORE = 8


async def open_pool(wanted: int, demand: isolation.Demand, imports: tuple[str, ...], kind: isolation.Kind | None) -> Pool:
    """A pool of the best kind that works here: what the kernel really allows shows only when it is tried."""
    refused: list[str] = []
    for each in isolation.candidates(demand, kind):
        if each.missing:
            refused.append(f"{each.kind}: {each.missing}")
            continue
        pool = Pool(wanted, each, imports)
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


class Pool:
    """A template process and the workers forked from it."""

    def __init__(self, wanted: int, kind: Isolation, imports: tuple[str, ...]) -> None:
        self.isolation = kind
        self._wanted, self._imports = wanted, imports
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self.permits = asyncio.Semaphore(wanted)
        self.most = wanted * _WORKERS_PER_CORE
        self.running = 0
        self._starting = asyncio.Lock()
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
                place.worker = worker = self._idle.pop() if self._idle else await self.start_worker()
                try:
                    result = await worker.run(program, limits)
                except WorkerGoneError as error:
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

    async def start_session(self) -> Worker:
        """A worker that keeps variables from call to call."""
        worker = await self.start_worker()
        worker.become_session()
        return worker

    async def call(self, session: Worker, code: str, limits: Limits) -> Execution:
        """Runs one call of a session when its turn has come.

        Raises:
            SandboxError: the session has ended.
        """
        await self.permits.acquire()
        place = _Place(self)
        place.worker = session
        try:
            return await session.run(Program(code), limits)
        except WorkerGoneError as error:
            raise SandboxError(f"the session has ended: {error}") from None
        finally:
            place.leave()

    async def end_session(self, session: Worker) -> None:
        """Ends its worker, and with it variables and files."""
        self._forget(session)

    async def start_worker(self) -> Worker:
        """A new worker, which has told how it is isolated."""
        async with self._starting:
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
        worker = Worker()
        answer = worker.expect(REPLY_SECONDS)
        worker.watch()
        await asyncio.get_running_loop().create_connection(lambda: worker, sock=ours)
        try:
            hello = await answer
        except WorkerGoneError as error:
            worker.close()
            raise SandboxError(f"a worker of the sandbox did not start: {error}") from None
        finally:
            worker.rest()
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

    def _forget(self, worker: Worker) -> None:
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
        try:
            ours.sendall(messages.pack_json(config))
            ready = await asyncio.to_thread(messages.receive_json, ours)
        except OSError:  # it has ended
            ready = None
        last = _read_last_line(self._template, ended=ready is None)
        if ready is None:
            raise SandboxError(f"the sandbox's Python ({isolation.python()}) ended at its start: {last}")
        if "error" in ready:
            raise SandboxError(f"the sandbox could not load what programs need: {ready['error']}")


class _Place:
    """A place among the programs that run at once. One that is held for long is lent to the next in the queue."""

    def __init__(self, pool: Pool) -> None:
        self.worker: Worker | None = None
        self._pool = pool
        self._lent = False
        pool.running += 1
        self._timer = asyncio.get_running_loop().call_later(_LONG, self._be_patient)

    def leave(self) -> None:
        """Gives it back."""
        self._timer.cancel()
        self._pool.running -= 1
        if not self._lent:
            self._pool.permits.release()

    def _be_patient(self) -> None:
        if self.worker is not None:
            self.worker.watch()
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
        stderr=subprocess.PIPE,
        env=environment,
        pass_fds=(control,),
        cwd="/",
        start_new_session=True,
    )


def _read_last_line(template: subprocess.Popen[bytes], *, ended: bool) -> str:
    """What a template said last, if it has ended; nobody reads what it writes from now on."""
    assert template.stderr is not None
    with template.stderr as stream:
        text = stream.read().decode(errors="replace").strip() if ended else ""
    return text.rpartition("\n")[2] or f"status {template.wait()}" if ended else ""
