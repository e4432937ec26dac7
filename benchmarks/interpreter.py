"""What the interpreter tool costs beside the sandbox that it runs code in: both in one run, at 64 responses at once.

    PYTHONPATH=. VERL_PYTHON benchmarks/interpreter.py [ROUNDS]      # verl's own Python, about a minute

Each of 64 responses makes ten calls one after the other, all 64 at once; by the sandbox alone and by the tool, in turns, as
often as ROUNDS says (5). Printed are medians of two measures: how long a call takes from the tool's beginning to its reply,
and how much of that is the sandbox's own time in that very call; and the time of all calls together, by the number of calls.
"""

from __future__ import annotations

import asyncio
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

AT_ONCE, CALLS = 64, 10
CODE = "total = sum(range(1000))\nprint(total)"
LIMITS = Limits(cpu_seconds=30.0, wall_seconds=60.0, output_bytes=100_000)

Response = Callable[[], Awaitable[None]]


class Timed:
    """A sandbox or a session that adds up how long its calls take."""

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
        begun = time.perf_counter()
        result = await call
        Timed.seconds += time.perf_counter() - begun
        return result


class Tool:
    """The tool, called as verl's loop does."""

    seconds = 0.0

    def __init__(self, stateful: bool) -> None:
        settings = {"stateful": stateful, "seconds": 30.0, "max_output_chars": 4000, "concurrency": AT_ONCE}
        self._tool = Interpreter(settings | {"sandbox": {}, "processes": 1})

    async def respond(self) -> None:
        trajectory = Trajectory()
        for _ in range(CALLS):
            begun = time.perf_counter()
            instance, _ = await self._tool.create(create_kwargs={})
            state = SimpleNamespace(interpreter=trajectory)
            reply, _, _ = await self._tool.execute(instance, {ARGUMENT: CODE}, agent_data=state)
            await self._tool.release(instance)
            self.seconds += time.perf_counter() - begun
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
    """Milliseconds of all calls together, for each call."""
    begun = time.perf_counter()
    await asyncio.gather(*(response() for _ in range(AT_ONCE)))
    return (time.perf_counter() - begun) * 1000 / (AT_ONCE * CALLS)


async def main(rounds: int) -> None:
    sandbox.configure(sandbox.read_settings({}, processes=1))
    get = sandbox.get
    for name, stateful, alone in (("stateless", False, run_programs), ("stateful", True, run_session)):
        tool = Tool(stateful)
        await measure(alone)
        bare, together, whole, inside = [], [], [], []
        for _ in range(rounds):
            bare.append(await measure(alone))
            sandbox.get = lambda: Timed(get())  # type: ignore[assignment, return-value]
            Timed.seconds = tool.seconds = 0.0
            together.append(await measure(tool.respond))
            sandbox.get = get
            whole.append(tool.seconds * 1000 / (AT_ONCE * CALLS))
            inside.append(Timed.seconds * 1000 / (AT_ONCE * CALLS))
        added = statistics.median(one - other for one, other in zip(whole, inside, strict=True))
        print(
            f"{name}: a call takes {statistics.median(whole):.2f} ms, {added:.3f} ms of it beside the sandbox's own time "
            f"(bound: 2 ms); all together {statistics.median(together):.2f} ms a call, the sandbox alone "
            f"{statistics.median(bare):.2f} ms"
        )
    sandbox.close_all()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
