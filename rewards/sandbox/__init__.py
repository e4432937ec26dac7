"""Running code that nobody trusts: `await get().run(Program(code), Limits(cpu_seconds=2))`."""

from rewards.sandbox.base import Sandbox, SandboxError, Session
from rewards.sandbox.program import Execution, Limits, Program, Verdict
from rewards.sandbox.settings import Settings, close_all, configure, get, read_settings

__all__ = [
    "Execution",
    "Limits",
    "Program",
    "Sandbox",
    "SandboxError",
    "Session",
    "Settings",
    "Verdict",
    "close_all",
    "configure",
    "get",
    "read_settings",
]
