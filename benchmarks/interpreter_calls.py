"""The calls of benchmarks/interpreter.py, for verl's Python: `python -m benchmarks.interpreter_calls ROUNDS`."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from pipelines.trainers.verl.plugin.interpreter import Interpreter, Trajectory
from rewards import sandbox
from rewards.builtin.interpreter_tool import ARGUMENT
from rewards.sandbox import Limits, Program

CONCURRENT, CALLS = 64, 10
CODE = "total = sum(range(1000))\nprint(total)"
LIMITS = Limits(cpu_seconds=30.0, wall_seconds=60.0, output_bytes=100_000)

Response = Callable[[], Awaitable[None]]


class Timed:
    """A sandbox or a session that sums up the time of its calls."""

    seconds = 0.0

    def __init__(self, real: Any) -> None:
        self._real = real

    async def run(self, *arguments: Any) -> Any:
        return await self._time(self._real.run(*arguments))

    async def open_session(self) -> Timed:
        return Timed(await self._time(self._real.open_session()))

    async def close(self) -> None:
        await self._real.close()

    async def _time(self, call: Awaitable[Any]) -> Any:
        start = time.perf_counter()
        result = await call
        Timed.seconds += time.perf_counter() - start
        return result


class Tool:
    """The tool, called as verl's agent loop does."""

    seconds = 0.0

    def __init__(self, stateful: bool) -> None:
        settings = {"stateful": stateful, "seconds": 30.0, "max_output_chars": 4000, "concurrency": CONCURRENT}
        self._tool = Interpreter(settings | {"sandbox": {}, "processes": 1})

    async def respond(self) -> None:
        trajectory = Trajectory()
        for _ in range(CALLS):
            start = time.perf_counter()
            instance, _ = await self._tool.create(create_kwargs={})
            state = SimpleNamespace(interpreter=trajectory)
            reply, _, _ = await self._tool.execute(instance, {ARGUMENT: CODE}, agent_data=state)
            await self._tool.release(instance)
            self.seconds += time.perf_counter() - start
            assert reply.text == "499500"
        await trajectory.close()


async def run_programs() -> None:
    for _ in range(CALLS):
        assert (await sandbox.get().run(Program(CODE), LIMITS)).output == "499500\n"


async def run_session() -> None:
    session = await sandbox.get().open_session()
    for _ in range(CALLS):
        assert (await session.run(CODE, LIMITS)).output == "499500\n"
    await session.close()


async def measure(response: Response) -> float:
    """Return the milliseconds of all calls together, per call."""
    start = time.perf_counter()
    await asyncio.gather(*(response() for _ in range(CONCURRENT)))
    return (time.perf_counter() - start) * 1000 / (CONCURRENT * CALLS)


async def main(rounds: int) -> None:
    sandbox.configure(sandbox.read_settings({}, processes=1))
    get = sandbox.get
    figures = {}
    for name, stateful, alone in (("stateless", False, run_programs), ("stateful", True, run_session)):
        tool = Tool(stateful)
        await measure(alone)  # opens the sandbox
        bare, together, added = [], [], []
        for _ in range(rounds):
            bare.append(await measure(alone))
            setattr(sandbox, "get", lambda: Timed(get()))  # noqa: B010 (the type differs)
            Timed.seconds = tool.seconds = 0.0
            together.append(await measure(tool.respond))
            setattr(sandbox, "get", get)  # noqa: B010
            added.append((tool.seconds - Timed.seconds) * 1000 / (CONCURRENT * CALLS))
        medians = (statistics.median(each) for each in (together, bare, added))
        figures[name] = dict(zip(("together", "alone", "added"), medians, strict=True))
    sandbox.close_all()
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
