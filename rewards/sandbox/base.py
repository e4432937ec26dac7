"""The contract that both sandboxes keep, and what goes wrong with a sandbox itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rewards.sandbox.program import Execution, Limits, Program


class SandboxError(RuntimeError):
    """The sandbox itself failed or is not to be had: never a program's fault; one line."""


class Session(Protocol):
    """One interpreter whose variables live from call to call."""

    async def run(self, code: str, limits: Limits | None = None) -> Execution:
        """Runs code on the variables that earlier calls left; each call has limits of its own.

        A call that ends with an exception keeps what it had done. One that is ended (timeout, memory, output, killed)
        leaves the variables as they were before it.
        """
        ...

    async def close(self) -> None:
        """Ends it; its variables and files are gone."""
        ...


class Sandbox(Protocol):
    """Runs programs that nobody trusts. Usable from any thread and any event loop."""

    async def run(self, program: Program, limits: Limits | None = None) -> Execution:
        """Runs one program in a fresh process.

        Raises:
            SandboxError: the sandbox failed; nothing that a program does raises.
        """
        ...

    async def run_many(self, programs: Sequence[Program], limits: Limits | None = None) -> list[Execution]:
        """Runs all, as many at once as it has workers; results in the order of the programs."""
        ...

    def run_blocking(self, program: Program, limits: Limits | None = None) -> Execution:
        """`run` for code outside an event loop, in any thread."""
        ...

    async def open_session(self) -> Session:
        """A new session with no variables."""
        ...

    def describe(self) -> list[tuple[str, str]]:
        """What is in force: (facility, how), for people."""
        ...

    def close(self) -> None:
        """Ends its workers and sessions."""
        ...
