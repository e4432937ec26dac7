"""Run untrusted code: `await get().run(Program(code), Limits(cpu_seconds=2))`.

Other rooms use the names below, `read_reports` (reports), `LocalSandbox` (local.sandbox), and run the module
`rewards.sandbox.local.examine`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    # The processes of the sandbox import this package, too. Without the client and what it imports (`asyncio`, `ssl`), a
    # quarter fewer mappings and a third less memory are copied for each program.
    if name in __all__:
        for home in ("program", "base", "settings", "background"):
            module = importlib.import_module(f"rewards.sandbox.{home}")
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
