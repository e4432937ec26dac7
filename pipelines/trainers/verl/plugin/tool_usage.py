"""Count the tool calls of a response, for the metrics of a step and for rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OPENINGS = {
    "hermes": "<tool_call>",
    "qwen3_coder": "<tool_call>",
    "gpt-oss": " to=functions.",
    "glm": "<tool_call>",
    "seed": "<seed:tool_call>",
    "minimax": "<minimax:tool_call>",
    "kimi": "<|tool_call_begin|>",
    "deepseek_v4": "<\uff5cDSML\uff5cinvoke",
}
"""The first characters of a call by verl's parser (experimental/agent_loop/tool_parser.py)."""


@dataclass
class Usage:
    """The calls of one response."""

    calls: int = 0
    """All that verl parsed or failed to parse."""
    malformed: int = 0
    """Calls of an unknown tool, without code, or unreadable; an unreadable call ends the response."""
    cut: int = 0
    """Calls not run because the response ended with them: it was too long, or had no turn left."""
    errors: int = 0
    """Code that ended with an error, or exceeded a limit other than time."""
    timeouts: int = 0
    """Code that exceeded its time."""
    failures: int = 0
    """Code not run because the sandbox failed."""
    seconds: float = 0.0
    """From call to reply, including waiting."""

    def add(self, outcome: Mapping[str, Any]) -> None:
        """Count a call by what the tool returned about it; empty if verl did not call the tool."""
        verdict = outcome.get("verdict", "malformed")
        self.calls += 1
        self.seconds += outcome.get("seconds", 0.0)
        self.malformed += verdict == "malformed"
        self.failures += verdict == "failed"
        self.timeouts += verdict == "timeout"
        self.errors += verdict not in ("ok", "malformed", "failed", "timeout")

    def add_unanswered(self, parsed: bool) -> None:
        """Count a turn with a call that got no reply: verl could not parse it, or did not reach it."""
        if parsed:
            self.add({})
        else:
            self.cut += 1


def summarise(usages: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return a step's metrics: mean and maximum per response; empty if no response could call the tool."""
    metrics: dict[str, float] = {}
    for name in asdict(Usage()) if usages else ():
        values = [float(usage[name]) for usage in usages]
        metrics |= {f"tool/{name}/mean": sum(values) / len(values), f"tool/{name}/max": max(values)}
    return metrics
