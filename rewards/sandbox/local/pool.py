"""The template process of the local sandbox, the workers forked from it, and the queue for them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from pathlib import Path

from rewards.sandbox.base import SandboxError
from rewards.sandbox.local import isolation
from rewards.sandbox.local.connection import REPLY_SECONDS, Worker, WorkerFaultError, WorkerGoneError
from rewards.sandbox.local.inside import messages
from rewards.sandbox.program import Execution, Limits, Program

_ROOT = Path(__file__).resolve().parents[3]
_START = (
    "from sys import argv, path; path.insert(0, argv[1]); from rewards.sandbox.local.inside.template import main; main(argv[2])"
)
_LONG_SECONDS = 0.3
"""After this time a program no longer blocks the queue, as long as more workers may start."""
_WORKERS_PER_CORE = 8
_END_SECONDS = 5.0
"""How long a killed template may take to end."""


async def open_pool(wanted: int, demand: isolation.Demand, imports: tuple[str, ...], kind: isolation.Kind | None) -> Pool:
    """Open a pool with the best kind of isolation that works here: only trying shows what the kernel allows."""
    refused: list[str] = []
    for each in [kind] if kind else isolation.ACCEPTED[demand]:
        try:
            pool = Pool(wanted, isolation.prepare(each), imports)
            await pool.open()
        except isolation.NotOfferedError as error:
            refused.append(f"{each}: {error}")
        else:
            pool.isolation.refused = tuple(refused)
            return pool
    raise SandboxError(
        f"this machine offers no sound isolation for untrusted programs ({'; '.join(refused)}); allow user namespaces, or run "
        "them with resource limits only (`sandbox: {isolation: weak}` in the recipe), or on a SandboxFusion service (`url`)"
    )


class Pool:
    """A template process and the workers forked from it."""

    def __init__(self, wanted: int, kind: isolation.Isolation, imports: tuple[str, ...]) -> None:
        self.isolation = kind
        self._imports = imports
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._slots = _Slots(wanted)
        self._starting = asyncio.Lock()
        self._template: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def open(self) -> None:
        """Start the template and the first worker."""
        try:
            await self._start_template()
            self._idle.append(await self._start_worker())
        except BaseException:
            await self.close()
            raise

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run a program when a slot is free."""
        async with self._slots.take():
            for attempt in (1, 2):
                worker = self._idle.pop() if self._idle else await self._start_worker()
                try:
                    result = await worker.run(program, limits)
                except BaseException as error:
                    self._forget(worker)
                    if not isinstance(error, WorkerGoneError):
                        raise
                    # The kernel may kill a worker when memory runs out; its program gets a second try.
                    if attempt == 2:
                        if isinstance(error, WorkerFaultError):
                            raise SandboxError(f"the sandbox has failed twice: {error}") from None
                        return Execution("killed", error=f"two workers ended while they ran it: {error}")
                else:
                    self._idle.append(worker)
                    return result
        raise AssertionError

    async def start_session(self) -> Worker:
        """Return a new worker that keeps variables between calls."""
        return await self._start_worker(messages.SESSION)

    async def call(self, session: Worker, code: str, limits: Limits) -> Execution:
        """Run one call of a session when a slot is free.

        Raises:
            SandboxError: the session has ended.
        """
        async with session.turn, self._slots.take():
            try:
                return await session.run(Program(code), limits)
            except WorkerGoneError as error:
                raise SandboxError(f"the session has ended: {error}") from None

    async def end_session(self, session: Worker) -> None:
        """End the session's worker, and with it the variables and files."""
        self._forget(session)

    def measure(self) -> tuple[int, int]:
        """Return the bytes of the template with its descendants, and those that only the newest worker uses."""
        assert self._template is not None
        total, alone, waiting = 0, 0, [self._template.pid]
        while waiting:
            folder = Path(f"/proc/{waiting.pop()}")
            try:
                lines = (folder / "smaps_rollup").read_text().splitlines()[1:]
                waiting += [int(pid) for pid in (folder / "task" / folder.name / "children").read_text().split()]
            except OSError:  # it has ended
                continue
            sizes = {name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in lines)}
            total += sizes["Pss"]
            alone = sizes["Private_Clean"] + sizes["Private_Dirty"]
        return total, alone

    async def close(self) -> None:
        """End the template and all workers."""
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

    async def _start_worker(self, kind: bytes = messages.PROGRAMS) -> Worker:
        for attempt in (1, 2):
            async with self._starting:
                if self._template is None or self._template.poll() is not None:
                    await self._start_template()
            template = self._template
            try:
                return await self._ask_for_worker(kind)
            except (OSError, WorkerGoneError) as error:
                # The template may have been killed just before; its end is seen a moment later.
                if attempt == 2 or template is None or not await _has_ended(template):
                    raise SandboxError(f"a worker of the sandbox did not start: {error}") from None
        raise AssertionError

    async def _ask_for_worker(self, kind: bytes) -> Worker:
        assert self._control is not None
        ours, theirs = socket.socketpair()
        try:
            socket.send_fds(self._control, [kind], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        _, worker = await asyncio.get_running_loop().create_unix_connection(Worker, sock=ours)
        try:
            hello = await worker.receive(REPLY_SECONDS)
        except WorkerGoneError:
            worker.close()
            raise
        if "error" in hello:
            worker.close()
            raise isolation.NotOfferedError(str(hello["error"]))
        self.isolation.hello = hello
        self._all.add(worker)
        return worker

    def _forget(self, worker: Worker) -> None:
        worker.close()
        self._all.discard(worker)

    async def _start_template(self) -> None:
        for worker in self._idle:
            self._forget(worker)
        self._idle.clear()
        self._control, theirs = socket.socketpair()
        try:
            # In this thread, which lives as long as the sandbox: the template ends with the thread that started it.
            self._template = _spawn(theirs.fileno())
        finally:
            theirs.close()
        try:
            self._control.sendall(messages.pack_json(self.isolation.configure(_ROOT, self._imports)))
            ready = await asyncio.to_thread(messages.receive_json, self._control)
        except OSError:  # it has ended
            ready = None
        assert self._template.stdout is not None
        self._template.stdout.close()
        assert self._template.stderr is not None
        with self._template.stderr as stream:  # it is not read after this
            last = stream.read().decode(errors="replace").strip().rpartition("\n")[2] if ready is None else ""
        if ready is None:
            why = last or f"status {self._template.wait()}"
            raise SandboxError(f"the sandbox's Python ({isolation.python()}) failed to start: {why}")
        if "error" in ready:
            raise SandboxError(f"the sandbox could not import what programs need: {ready['error']}")


class _Slots:
    """Slots for programs that run at once."""

    def __init__(self, count: int) -> None:
        self.free = asyncio.Semaphore(count)
        self.running, self.most = 0, count * _WORKERS_PER_CORE

    def take(self) -> _Slot:
        """Return a context that waits for a slot."""
        return _Slot(self)


class _Slot:
    """A slot. If it is held for long, it is passed on to the next in the queue."""

    def __init__(self, slots: _Slots) -> None:
        self._slots = slots
        self._is_held = True
        self._timer: asyncio.TimerHandle

    async def __aenter__(self) -> None:
        await self._slots.free.acquire()
        self._slots.running += 1
        self._timer = asyncio.get_running_loop().call_later(_LONG_SECONDS, self._pass_on)

    async def __aexit__(self, *_: object) -> None:
        self._timer.cancel()
        self._slots.running -= 1
        if self._is_held:
            self._slots.free.release()

    def _pass_on(self) -> None:
        if self._slots.running <= self._slots.most:
            self._is_held = False
            self._slots.free.release()


async def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        await asyncio.to_thread(process.wait, _END_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _spawn(control: int) -> subprocess.Popen[bytes]:
    # This process's environment may hold secrets, so it must not be in the memory of a program. The run's mark stays:
    # a run uses it to find its processes.
    environment = {name: os.environ[name] for name in ("PIPELINE_RUN",) if name in os.environ}
    environment |= {"USER": "sandbox", "LOGNAME": "sandbox"}
    environment |= {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
    environment |= {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    # Else every program would look up the C functions that it calls, and have the pages of their table copied.
    environment |= {"LD_BIND_NOW": "1"}
    return subprocess.Popen(
        [isolation.python(), "-s", "-S", "-P", "-X", "utf8", "-B", "-c", _START, str(_ROOT), str(control)],
        stdin=subprocess.DEVNULL,
        # A pipe like that of every program: the stream's object remembers that it cannot seek.
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        pass_fds=(control,),
        cwd="/",
        start_new_session=True,
    )
