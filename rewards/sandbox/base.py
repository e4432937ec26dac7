"""The interface of sessions, and the errors for failures of a sandbox itself."""

from __future__ import annotations

from typing import Protocol

from rewards.sandbox.program import Execution, Limits


class SandboxError(RuntimeError):
    """The sandbox failed or is not available. Never the program's fault; the message is one line."""


class SandboxUnavailableError(SandboxError):
    """The sandbox does not answer at all, so no program can be run."""


class Session(Protocol):
    """An interpreter that keeps its variables between calls."""

    async def run(self, code: str, limits: Limits | None = None) -> Execution:
        """Run code on the variables of earlier calls.

        A call that raises keeps its changes. A call that the sandbox ends leaves the variables as they were before it.
        """
        ...

    async def close(self) -> None:
        """End the session and delete its variables and files."""
        ...
