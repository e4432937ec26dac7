"""A request's resource limits."""

from __future__ import annotations

import json
import math
import resource

_COMMON_LIMITS = {
    # For deep recursion in C, as in sorting or regular expressions; small enough for the address space limit.
    resource.RLIMIT_STACK: 64 << 20,
    # Sockets and pipes use kernel memory that no limit of a process counts.
    resource.RLIMIT_NOFILE: 128,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_MEMLOCK: 0,
}


class Request:
    """A request to a worker, parsed once and kept for all programs with the same fields."""

    __slots__ = ("cpu_seconds", "fields", "memory_bytes", "output_bytes", "prepared", "uses", "wall_seconds")

    def __init__(self, text: bytes, base_bytes: int, others: int) -> None:
        """Parse a request.

        Args:
            text: the fields as JSON.
            base_bytes: address space of the warm interpreter before the program starts.
            others: processes of the program's user besides its own; -1 if the kernel cannot count them separately.
        """
        self.fields = json.loads(text)
        self.uses: str | None = self.fields.get("uses")
        """The runner to call with the code."""
        limits = self.fields.get("limits")
        if limits is None:
            return
        self.cpu_seconds = float(limits["cpu_seconds"])
        self.wall_seconds = float(limits["wall_seconds"])
        self.memory_bytes = int(limits["memory_mb"]) << 20
        self.output_bytes = int(limits["output_bytes"])
        values = {
            # One second more than is watched for: the kernel counts whole seconds, and gives no reason when it kills.
            resource.RLIMIT_CPU: math.ceil(limits["cpu_seconds"]) + 1,
            resource.RLIMIT_AS: base_bytes + self.memory_bytes,
            resource.RLIMIT_FSIZE: int(limits["file_mb"]) << 20,
        }
        if others >= 0:
            values[resource.RLIMIT_NPROC] = int(limits["processes"]) + others
        capped = {kind: _cap(value, resource.getrlimit(kind)[1]) for kind, value in values.items()}
        self.prepared = [(kind, (value, value)) for kind, value in capped.items()]


def apply_common_limits() -> None:
    """Set the limits that are the same for all programs and do not affect a worker."""
    for kind, value in _COMMON_LIMITS.items():
        hard = resource.getrlimit(kind)[1]
        value = _cap(value, hard)
        # A program may ask for a larger stack.
        resource.setrlimit(kind, (value, hard if kind == resource.RLIMIT_STACK else value))


def set_soft_limits(pid: int, request: Request) -> None:
    """Set the limits of another process for one call. The process itself cannot change them (see `seccomp`)."""
    for kind, (value, _) in request.prepared:
        if kind != resource.RLIMIT_CPU:
            hard = resource.prlimit(pid, kind)[1]
            resource.prlimit(pid, kind, (_cap(value, hard), hard))


def _cap(value: int, hard: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
