"""What a response made of the tool: counted call by call, reported step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FIELD = "interpreter"
"""Where a response's counts lie among verl's extra fields."""


@dataclass
class Usage:
    """The calls of one response."""

    calls: int = 0
    """All of them, those included that were no good."""
    malformed: int = 0
    """Calls of another tool, or without code."""
    errors: int = 0
    """Code that ended with an error, or at a limit other than its time."""
    timeouts: int = 0
    """Code that ran out of time."""
    failures: int = 0
    """Code that was not run, because the sandbox failed."""
    seconds: float = 0.0
    """From call to reply, waiting included."""

    def add(self, said: Mapping[str, Any]) -> None:
        """Counts a call by what the tool said of it; nothing, where verl did not ask the tool."""
        verdict = said.get("verdict", "malformed")
        self.calls += 1
        self.seconds += said.get("seconds", 0.0)
        if verdict == "malformed":
            self.malformed += 1
        elif verdict == "failed":
            self.failures += 1
        elif verdict == "timeout":
            self.timeouts += 1
        elif verdict != "ok":
            self.errors += 1


def summarise(usages: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """A step's metrics: mean and greatest value of a response. None where no response could have called the tool."""
    metrics: dict[str, float] = {}
    for name in asdict(Usage()) if usages else ():
        values = [float(usage[name]) for usage in usages]
        metrics |= {f"tool/{name}/mean": sum(values) / len(values), f"tool/{name}/max": max(values)}
    return metrics
