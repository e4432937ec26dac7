"""What is asked of a worker: read once, and kept for the many programs that ask for the same."""

from __future__ import annotations

import json

from rewards.sandbox.local.inside.limits import prepare


class Request:
    """The fields of a request, with its limits ready to be put in force."""

    __slots__ = ("cpu_seconds", "fields", "memory_bytes", "output_bytes", "prepared", "uses", "wall_seconds")

    def __init__(self, text: bytes, base_bytes: int, others: int) -> None:
        """`base_bytes` and `others` are those of `limits.prepare`."""
        self.fields = json.loads(text)
        self.uses: str | None = self.fields.get("uses")
        """The runner that is given the code."""
        limits = self.fields.get("limits")
        if limits is not None:
            self.cpu_seconds = float(limits["cpu_seconds"])
            self.wall_seconds = float(limits["wall_seconds"])
            self.memory_bytes = int(limits["memory_mb"]) << 20
            self.output_bytes = int(limits["output_bytes"])
            self.prepared = prepare(limits, base_bytes, others)
