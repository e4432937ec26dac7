"""The interpreter tool for verl: the class that the file of `multi_turn.tool_config_path` names.

`rewards.builtin.interpreter_tool` formats the replies to code, as in the SFT rows that teach the tool.
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

_log = logging.getLogger(__name__)


class Trajectory:
    """The state of one response: a sandbox session, opened at the first call."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._turn = asyncio.Lock()

    async def run(self, code: str, limits: Limits) -> Execution:
        """Run a call; concurrent calls run one after the other. If the sandbox fails, the variables are lost."""
        async with self._turn:
            try:
                if self._session is None:
                    self._session = await sandbox.get().open_session()
                return await self._session.run(code, limits)
            except SandboxError:
                await self.close()
                raise

    async def close(self) -> None:
        """End the session, if any."""
        session, self._session = self._session, None
        if session is not None:
            try:
                await session.close()
            except SandboxError as error:
                _log.warning("a session of the interpreter was not closed: %s", error)


class Interpreter(BaseTool):
    """Runs the code of a call and returns the reply for the model; raises no exception.

    Args:
        config: `stateful`, `seconds` of CPU time per call, `max_output_chars` of a reply, `concurrency` (simultaneous calls in
            this process), the recipe's `sandbox`, and the number of `processes` of this machine that serve the tool.
        tool_schema: unused; the schema is `rewards.builtin.interpreter_tool`'s.
    """

    def __init__(self, config: dict[str, Any], tool_schema: Any = None) -> None:
        super().__init__(config, tool_schema)
        self._stateful: bool = config["stateful"]
        self._longest: int = config["max_output_chars"]
        # More wall-clock time than CPU time: on a busy machine code runs slower but must not time out.
        seconds = float(config["seconds"])
        # Code that prints more is ended: the reply is far shorter.
        self._limits = Limits(cpu_seconds=seconds, wall_seconds=2 * seconds, output_bytes=100_000)
        self._permits = asyncio.Semaphore(config["concurrency"])
        self._settings = sandbox.read_settings(config["sandbox"], config["processes"])

    def get_openai_tool_schema(self) -> Any:
        """Return the schema for the chat template."""
        return OpenAIFunctionToolSchema.model_validate(SCHEMA)

    async def execute(self, instance_id: str, parameters: Any, **kwargs: Any) -> tuple[Any, float, dict[str, Any]]:
        """Run a call of the response whose state is in `agent_data` (SeededToolAgent).

        Returns:
            The reply, no reward, and what is counted: `verdict` (an execution's, `malformed` or `failed`) and `seconds`.
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
            text, verdict = f"[the code was not run: the interpreter does not answer{lost}]", "failed"
        else:
            text, verdict = make_reply(execution), execution.verdict
        return self._reply(text, verdict, time.monotonic() - begun)

    async def _run(self, code: str, trajectory: Trajectory) -> Execution:
        sandbox.configure(self._settings)
        if self._stateful:
            return await trajectory.run(code, self._limits)
        return await sandbox.get().run(Program(code), self._limits)

    def _reply(self, text: str, verdict: str, seconds: float) -> tuple[Any, float, dict[str, Any]]:
        # Tokenizers reject lone surrogates.
        valid = shorten(text, self._longest).encode("utf-8", errors="replace").decode()
        return ToolResponse(text=valid), 0.0, {"verdict": verdict, "seconds": seconds}


def _explain(parameters: Any) -> str:
    """Return what is wrong with a call's arguments. Models are trained on this text."""
    expected = f"{NAME} takes one argument, {ARGUMENT}, a text"
    if not isinstance(parameters, dict):
        return f"{expected}; the arguments were no mapping"
    if ARGUMENT in parameters:
        value = parameters[ARGUMENT]
        return f"{expected}; it was empty" if isinstance(value, str) else f"{expected}; it was of type {type(value).__name__}"
    return f"{expected}; found {', '.join(map(str, parameters)) or 'nothing'}"
