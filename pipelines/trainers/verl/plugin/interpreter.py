"""The interpreter tool as verl serves it: `multi_turn.tool_config_path` names a file that names this class.

What it replies to code is what `rewards.builtin.interpreter_tool` says, so that it agrees with the rows that teach the tool.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from verl.tools.base_tool import BaseTool
from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse

from rewards import sandbox
from rewards.builtin.interpreter_tool import ARGUMENT, NAME, SCHEMA, make_reply, shorten
from rewards.sandbox import Execution, Limits, Program, SandboxError, Session

_OUTPUT_BYTES = 100_000
"""Code that prints more is ended: nobody would see it."""

_log = logging.getLogger(__name__)


class Trajectory:
    """What lives from call to call of one response: a session of the sandbox, opened at the first call."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._turn = asyncio.Lock()

    async def run(self, code: str, limits: Limits) -> Execution:
        """Runs a call; of several at once, one after the other.

        Raises:
            SandboxError: the sandbox failed; the variables are gone.
        """
        async with self._turn:
            try:
                if self._session is None:
                    self._session = await sandbox.get().open_session()
                return await self._session.run(code, limits)
            except SandboxError:
                await self._end_session()
                raise

    async def close(self) -> None:
        """Ends the session, if there is one."""
        await self._end_session()

    async def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                await session.close()
            except SandboxError as error:
                _log.warning("a session of the interpreter was not closed: %s", error)


class Interpreter(BaseTool):
    """Runs the code of a call and replies what the model should see; never an exception.

    Args:
        config: `stateful`, `seconds` of CPU time for a call, `max_output_chars` of a reply, `concurrency` (calls that run at
            once in this process), the recipe's `sandbox`, and how many `processes` of this machine serve the tool.
        tool_schema: the tool's own, which `rewards.builtin.interpreter_tool` says, if None.
    """

    def __init__(self, config: dict[str, Any], tool_schema: Any = None) -> None:
        super().__init__(config, tool_schema)
        self._stateful: bool = config["stateful"]
        self._longest: int = config["max_output_chars"]
        # A busy machine slows code down and does not turn it into code that takes too long.
        seconds = float(config["seconds"])
        self._limits = Limits(cpu_seconds=seconds, wall_seconds=2 * seconds, output_bytes=_OUTPUT_BYTES)
        self._permits = asyncio.Semaphore(config["concurrency"])
        self._settings = sandbox.read_settings(config["sandbox"], config["processes"])

    def get_openai_tool_schema(self) -> Any:
        """What the chat template shows of it."""
        return OpenAIFunctionToolSchema.model_validate(SCHEMA)

    async def execute(self, instance_id: str, parameters: Any, **kwargs: Any) -> tuple[Any, float, dict[str, Any]]:
        """Runs a call of the response whose state `agent_data` holds (SeededToolAgent).

        Returns the reply, no reward, and what is counted: `verdict` (an execution's, `malformed` or `failed`) and `seconds`.
        """
        code = parameters.get(ARGUMENT) if isinstance(parameters, dict) else None
        if not isinstance(code, str) or not code.strip():
            return self._reply(f"[the code was not run: {_explain(parameters)}]", "malformed", 0.0)
        begun = time.monotonic()
        try:
            async with self._permits:
                execution = await self._run(code, kwargs["agent_data"].interpreter)
        except SandboxError as error:
            _log.warning("the interpreter failed: %s", error)
            lost = "; all variables are gone" if self._stateful else ""
            return self._reply(
                f"[the code was not run: the interpreter does not answer{lost}]", "failed", time.monotonic() - begun
            )
        return self._reply(make_reply(execution), execution.verdict, time.monotonic() - begun)

    async def _run(self, code: str, trajectory: Trajectory) -> Execution:
        sandbox.configure(self._settings)
        if self._stateful:
            return await trajectory.run(code, self._limits)
        return await sandbox.get().run(Program(code), self._limits)

    def _reply(self, text: str, verdict: str, seconds: float) -> tuple[Any, float, dict[str, Any]]:
        # A tokenizer takes no half characters.
        whole = shorten(text, self._longest).encode("utf-8", errors="replace").decode()
        return ToolResponse(text=whole), 0.0, {"verdict": verdict, "seconds": seconds}


def _explain(parameters: Any) -> str:
    """What is wrong with a call's arguments."""
    expected = f"{NAME} takes one argument, {ARGUMENT}, a text"
    if not isinstance(parameters, dict):
        return f"{expected}; the arguments were no mapping"
    if ARGUMENT in parameters:
        value = parameters[ARGUMENT]
        return f"{expected}; it was empty" if isinstance(value, str) else f"{expected}; it was of type {type(value).__name__}"
    return f"{expected}; found {', '.join(map(str, parameters)) or 'nothing'}"
