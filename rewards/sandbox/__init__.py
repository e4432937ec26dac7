"""Run untrusted code: `await get().run(Program(code), Limits(cpu_seconds=2))`.

Other rooms use the names below, `read_reports` (reports), `LocalSandbox` (local.sandbox), and run the module
`rewards.sandbox.local.examine`.
"""

from rewards.sandbox.background import Sandbox
from rewards.sandbox.base import SandboxError, SandboxUnavailableError, Session
from rewards.sandbox.program import Execution, Limits, Program, Verdict
from rewards.sandbox.settings import Settings, close_all, configure, get, read_settings, single_worker

__all__ = [
    "Execution",
    "Limits",
    "Program",
    "Sandbox",
    "SandboxError",
    "SandboxUnavailableError",
    "Session",
    "Settings",
    "Verdict",
    "close_all",
    "configure",
    "get",
    "read_settings",
    "single_worker",
]
