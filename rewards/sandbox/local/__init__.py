"""The local sandbox: programs in processes that the kernel isolates.

Other rooms use `LocalSandbox`, and run the module `rewards.sandbox.local.examine`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rewards.sandbox.local.sandbox import LocalSandbox

__all__ = ["LocalSandbox"]


def __getattr__(name: str) -> Any:
    # The processes of the sandbox import this package, too, and must stay small.
    if name == "LocalSandbox":
        from rewards.sandbox.local.sandbox import LocalSandbox

        return LocalSandbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
